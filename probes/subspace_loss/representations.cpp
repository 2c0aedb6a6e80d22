#include "representations.h"

#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/operands.h>

#include <algorithm>
#include <limits>

namespace subspace_loss {
namespace {

using orrery::GridPiece;
using orrery::GridPieces;
using orrery::UsageError;
using torch::Tensor;

constexpr double kKeyCosine = 0.005;

std::vector<int64_t> named_keys(const std::vector<std::string>& names, const Represented& of) {
  std::vector<std::string> known;
  for (const auto& rho : of.all) known.push_back(rho.name);
  std::string list = "\"all\"";
  for (const std::string& name : known) list += ", \"" + name + "\"";
  std::vector<int64_t> keys;
  for (const std::string& name : names) {
    const auto at = std::find(known.begin(), known.end(), name) - known.begin();
    if (at == static_cast<int64_t>(known.size()))
      throw UsageError("representations: \"" + name + "\" is not a representation of " + of.name +
                           orrery::did_you_mean(name, known),
                       "choose from " + list);
    if (std::count(keys.begin(), keys.end(), at) > 0)
      throw UsageError("representations: \"" + name + "\" is listed twice", "list each once");
    keys.push_back(at);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

const std::string& only_layer(const std::vector<std::string>& layers) {
  if (layers.size() != 1)
    throw UsageError("the site is the neurons of a network with one layer of them, and this network has " +
                         std::to_string(layers.size()),
                     "name a hook point as the site, such as \"blocks.0.mlp.hook_post\"");
  return layers.front();
}

// Checks on a few inputs that ablating the neurons subtracts x W_L from the logits. LayerNorm and further
// layers change logits by about their own size, rounding by 1e-6 of it.
void check_linear(const orrery::Observation& seen, const std::string& hook, const Tensor& W_L) {
  const orrery::HookPoint* point = seen.model.find_hook_point(hook);
  if (!point) return;  // weights only: there is nothing to run
  const torch::NoGradGuard no_grad;
  const Tensor& all = seen.split.grid->tokens;
  const Tensor tokens = all.narrow(0, 0, std::min<int64_t>(8, all.size(0))).to(seen.model.device());
  const int64_t output = seen.spec.read_out.at(0);
  const auto at_output = [&](const Tensor& logits) {
    return logits.select(1, output).narrow(1, 0, W_L.size(1)).to(torch::kCPU, torch::kFloat64);
  };
  const auto run = orrery::run_with_cache(seen.model, tokens, {hook});
  const Tensor post = orrery::at_positions(*point, run.cache[hook],
                                           torch::tensor({output}, torch::kInt64).to(seen.model.device()))
                          .select(1, 0)
                          .to(torch::kCPU, torch::kFloat64);
  const Tensor with = at_output(run.logits), expected = post.matmul(W_L);
  const Tensor without = at_output(orrery::run_with_hooks(
      seen.model, tokens, {{hook, [](const Tensor& x) { return torch::zeros_like(x); }}}));
  const Tensor off = (with - without - expected).abs().max();
  const Tensor size = with.abs().max() + without.abs().max() + expected.abs().max();
  if ((off > size * 1e-3).item<bool>())
    throw UsageError("the logits are not linear in the neurons \"" + hook +
                         "\": a LayerNorm or another layer comes after them",
                     "set site = \"" + hook + "\", which asks the model itself");
}

// What a cut reads of a network.
struct Means {
  explicit Means(const orrery::FiniteGroup& group) : site(group, false), logits(group, false) {}
  orrery::PairSums site, logits;
  std::string hook;  // of the neurons
  Tensor W_L;        // [d_mlp, classes]; undefined at the logits

  Tensor to_logits(const Tensor& x) const { return W_L.defined() ? x.matmul(W_L) : x; }
};

Means means_of(const LinearCut& how, const GridPieces& grid, const Represented& of,
               const orrery::Observation& observation) {
  Means means(of.group);
  const bool at_logits = how.site == LinearCut::Site::logits;
  grid.each([&](const GridPiece& piece) {
    means.logits.add(piece.pairs, piece.logits);
    if (at_logits) return;
    if (means.hook.empty()) means.hook = only_layer(piece.cache.names());
    means.site.add(piece.pairs, piece.cache[means.hook]);
  });
  if (at_logits) {
    means.site = means.logits;
    return means;
  }
  means.W_L =
      orrery::neurons_to_logits(observation, torch::kFloat64).narrow(1, 0, grid.indices().n_classes());
  check_linear(observation, means.hook, means.W_L);
  return means;
}

// The logits that are left if `part` [n, d] of the site is kept, by product.
Tensor kept(const LinearCut& how, const Means& means, const Tensor& part) {
  const bool with_mean = how.bias == orrery::Bias::site;
  const Tensor logits = means.to_logits(with_mean ? part + means.site.mean() : part);
  return how.bias == orrery::Bias::logits ? logits + (means.logits.mean() - logits.mean(0)) : logits;
}

// What is subtracted from the logits of each pair if it is removed, by product.
Tensor removed(const LinearCut& how, const Means& means, const Tensor& part) {
  const Tensor less = means.to_logits(part);
  if (how.bias != orrery::Bias::logits) return less;
  const bool alone = how.site == LinearCut::Site::neurons_alone;
  const Tensor before = alone ? means.to_logits(means.site.mean()) : means.logits.mean();
  return less - (means.logits.mean() - (before - less.mean(0)));
}

}  // namespace

Represented represented(const orrery::Structure& structure) {
  auto group = orrery::group_of(structure);
  auto all = orrery::irreducible_representations(group);
  auto name = orrery::name_of(group);
  return {std::move(group), std::move(name), std::move(all)};
}

orrery::OperandIndices indices_in(const orrery::Structure& structure) {
  return structure.group ? orrery::OperandIndices(*structure.group)
                         : orrery::OperandIndices(*structure.cyclic);
}

KeyRepresentations find_key_representations(const std::vector<std::string>& names, const GridPieces& grid,
                                            const Represented& of) {
  orrery::PairSums logits(of.group, /*operands=*/false);
  double energy = 0, squares = 0;  // about the mean of each input, and about zero
  grid.each([&](const GridPiece& piece) {
    const auto elements = grid.indices().classes(piece.logits);
    logits.add(piece.pairs, elements);
    energy += (elements - elements.mean(1, /*keepdim=*/true)).square().sum().item<double>();
    squares += elements.square().sum().item<double>();
  });
  const double rounding = 16 * std::numeric_limits<double>::epsilon();
  if (energy <= squares * rounding * rounding) energy = 0;  // equal logits
  const Tensor cosines = orrery::fit_characters(logits.by_product(), energy, of.group, of.all).similarity;
  KeyRepresentations found;
  const bool all = names == std::vector<std::string>{"all"};
  if (!names.empty() && !all) found.keys = named_keys(names, of);
  for (int64_t r = 0; r < cosines.size(0); ++r)
    if (all || (names.empty() && r > 0 && cosines[r].item<double>() > kKeyCosine)) found.keys.push_back(r);
  for (const int64_t key : found.keys) found.shares.push_back(cosines[key].square().item<double>());
  return found;
}

Tensor entries_of(const std::vector<int64_t>& keys, const Represented& of) {
  std::vector<Tensor> bases{torch::empty({0, of.group.order()}, torch::kFloat64)};
  for (const int64_t key : keys) bases.push_back(of.all[key].basis);
  return torch::cat(bases);
}

orrery::OverInputs functions_of_product(const Tensor& functions, const Represented& of) {
  return {functions, of.group.products()};
}

orrery::OverInputs functions_of_elements(const Tensor& functions) {
  return orrery::functions_of_operands(functions);
}

std::vector<orrery::Losses> losses_by_product(const LinearCut& how,
                                              const std::vector<std::vector<int64_t>>& sets,
                                              const GridPieces& grid, const Represented& of,
                                              const orrery::Observation& observation) {
  const Means means = means_of(how, grid, of, observation);
  const Tensor products = of.group.products(), by_product = means.site.by_product();
  std::vector<Tensor> tables;
  for (const auto& keys : sets) {
    const Tensor entries = entries_of(keys, of), part = entries.t().matmul(entries.matmul(by_product));
    tables.push_back(how.part == orrery::Part::keep ? kept(how, means, part) : removed(how, means, part));
  }
  const auto logits = [](const GridPiece& piece) { return piece.logits; };
  std::vector<orrery::Losses> all{grid.losses(grid.cross_entropies_less({Tensor()}, products, logits)[0])};
  if (how.part == orrery::Part::keep) {
    for (const Tensor& table : tables) all.push_back(grid.losses(grid.cross_entropies(table, products)));
    return all;
  }
  const auto of_neurons = [&](const GridPiece& piece) {
    return means.to_logits(piece.cache[means.hook].to(torch::kFloat64));
  };
  const bool alone = how.site == LinearCut::Site::neurons_alone;
  for (const Tensor& loss : alone ? grid.cross_entropies_less(tables, products, of_neurons)
                                  : grid.cross_entropies_less(tables, products, logits))
    all.push_back(grid.losses(loss));
  return all;
}

}  // namespace subspace_loss
