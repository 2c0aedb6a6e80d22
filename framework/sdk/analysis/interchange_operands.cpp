#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/grid_pieces.h>
#include <orrery/groups.h>
#include <orrery/operand_grid.h>
#include <orrery/subspace.h>

#include <algorithm>
#include <numeric>

#include "sdk/analysis/interchange_ready.h"

namespace orrery {
namespace {

using torch::Tensor;

constexpr double kKeyShare = 0.01;  // of the variance of the logits, as the rule "logits" has it

// Functions on a group in blocks, such as the cosine and sine of a frequency, and which blocks are keys.
struct Blocks {
  std::vector<Tensor> functions;  // [m, n] each
  std::vector<std::string> names;
  std::vector<bool> key;
};

// What the network says to the grid, and its neurons, for functions that read an observation of it.
struct SeenGrid {
  explicit SeenGrid(const Observation& of) : observation(of) {
    if (!of.split.grid)
      throw UsageError(
          "the task does not list its whole grid of inputs, from which key frequencies are found",
          "leave the hypotheses about operands out");
    const torch::NoGradGuard no_grad;
    std::vector<std::string> hooks;
    for (const std::string& name : of.model.hook_point_names())
      if (matches("*mlp.hook_post", name)) hooks.push_back(name);
    std::vector<Tensor> all;
    std::map<std::string, std::vector<Tensor>> kept;
    const Tensor& tokens = of.split.grid->tokens;
    for (int64_t start = 0; start < tokens.size(0); start += kAtOnce) {
      const Tensor piece = tokens.narrow(0, start, std::min(kAtOnce, tokens.size(0) - start));
      const auto pass = plain_read_out(
          of.model, {piece.to(of.model.device()), of.spec.read_out, {}, /*observed=*/true, hooks});
      all.push_back(pass->logits().to(torch::kCPU));
      for (const auto& [name, x] : pass->activations()) kept[name].push_back(x.to(torch::kCPU));
    }
    logits = torch::cat(all);
    for (const auto& [name, pieces] : kept) cache.put(name, torch::cat(pieces));
  }

  Observation observe() const {
    return {observation.step,
            observation.spec,
            observation.structure,
            observation.split,
            *observation.split.grid,
            observation.model,
            logits,
            cache};
  }

  static constexpr int64_t kAtOnce = 4096;
  const Observation& observation;
  Tensor logits;
  ActivationCache cache;
};

Blocks waves_at(const KeyFrequencyParams& params, const Observation& observation) {
  const SeenGrid seen(observation);
  const Observation on_grid = seen.observe();
  const CyclicView view(on_grid);
  const std::vector<int64_t> keys = find_key_frequencies(params, view).frequencies;
  if (keys.empty())
    throw UsageError(fmt::format("the network of step {} has no key frequency by the rule \"{}\", and "
                                 "hypotheses are about the waves of those",
                                 observation.step, params.rule),
                     "take another rule or threshold, a later reference checkpoint, or rule = \"given\"");
  Blocks blocks;
  for (const int64_t k : all_frequencies(view.order())) {
    blocks.functions.push_back(wave_functions(view.order(), {k}));
    blocks.names.push_back(fmt::format("k={}", k));
    blocks.key.push_back(std::count(keys.begin(), keys.end(), k) > 0);
  }
  return blocks;
}

Blocks representations_at(const Observation& observation) {
  const FiniteGroup group = group_of(observation.structure);
  const std::vector<Representation> all = irreducible_representations(group);
  const Observation nothing{observation.step,  observation.spec, observation.structure,
                            observation.split, Batch(),          observation.model,
                            Tensor(),          ActivationCache()};
  const GridPieces grid(OperandIndices(*observation.structure.group), nothing, {});
  PairSums sums(group, /*operands=*/false);
  grid.each([&](const GridPiece& piece) {
    const Tensor logits = grid.indices().classes(piece.logits);
    sums.add(piece.pairs, logits - logits.mean(1, /*keepdim=*/true));  // what softmax does not see
  });
  const auto n = static_cast<double>(group.order());
  const double energy = (sums.energy() + n * n * sums.mean().square()).sum().item<double>();
  const Tensor similarity = fit_characters(sums.by_product(), energy, group, all).similarity;
  Blocks blocks;
  for (size_t r = 1; r < all.size(); ++r) {  // the first is the trivial one
    blocks.functions.push_back(all[r].basis);
    blocks.names.push_back(all[r].name);
    const double cosine = similarity[static_cast<int64_t>(r)].item<double>();
    blocks.key.push_back(cosine > 0 && cosine * cosine >= kKeyShare);
  }
  if (std::count(blocks.key.begin(), blocks.key.end(), true) == 0)
    throw UsageError(fmt::format("at step {} no representation of {} explains 1 % of the logits' variance, "
                                 "and hypotheses are about those that do",
                                 observation.step, name_of(group)),
                     "take a later reference checkpoint");
  return blocks;
}

// The operands of each input and what follows from them.
struct Operands {
  Tensor left, right;  // [inputs] int64: indices in the group
  Tensor products;     // [n, n] int64
  Tensor classes;      // [n] int64: of each index

  Tensor label(const Tensor& left_of, const Tensor& right_of) const {
    const Tensor i = left.index_select(0, left_of), j = right.index_select(0, right_of);
    return classes.index_select(0, products.index({i, j})).unsqueeze(1);
  }
};

OperandIndices operand_indices(const Structure& structure) {
  if (structure.cyclic) return OperandIndices(*structure.cyclic);
  return OperandIndices(*structure.group);
}

Tensor products_in(const Structure& structure, int64_t n) {
  if (!structure.cyclic) return group_of(structure).products().view({n, n});
  const Tensor x = torch::arange(n, torch::kInt64);
  return (x.unsqueeze(1) + x).remainder(n);
}

// Where the token of an operand is embedded, if the model says so.
std::vector<InterchangeSite> embedding_of(const Model& model, int64_t position) {
  const HookPoint* point = model.find_hook_point("hook_embed");
  if (!point) return {};
  InterchangeSite site{.hook = point->name()};
  if (point->position_dim() >= 0)
    site.position = position;
  else  // an mlp's, [batch, 2, d_embed]
    site.dim = 1, site.entry = position;
  return {site};
}

// Of one operand: also where it is embedded, unless other sites are asked for.
std::vector<InterchangeSite> sites_of_operand(const Model& model, int64_t position,
                                              const std::vector<std::string>& asked) {
  if (asked.empty()) {
    std::vector<InterchangeSite> all = embedding_of(model, position);
    const auto behind = interchanging::sites_matching(model, interchanging::usual_sites(model));
    all.insert(all.end(), behind.begin(), behind.end());
    return all;
  }
  std::vector<InterchangeSite> all = interchanging::sites_matching(model, asked);
  for (InterchangeSite& site : all)
    if (site.hook == "hook_embed") site = embedding_of(model, position).front();
  return all;
}

// Of what depends on both operands, behind their embedding.
std::vector<InterchangeSite> sites_of_both(const Model& model, const std::vector<std::string>& asked) {
  auto all = interchanging::sites_matching(model, asked.empty() ? interchanging::usual_sites(model) : asked);
  std::erase_if(all, [](const InterchangeSite& site) { return site.hook == "hook_embed"; });
  return all;
}

// [m, n] functions on the group, of the element of each input; undefined where they are.
Tensor at_elements(const Tensor& functions, const Tensor& elements) {
  return functions.defined() ? functions.index_select(1, elements) : functions;
}
Tensor of_both(const Tensor& functions, const Operands& of) {
  if (!functions.defined()) return functions;
  return torch::cat({at_elements(functions, of.left), at_elements(functions, of.right)});
}

std::vector<CausalVariable> variables_of(const Operands& of, const KeyFunctions& keys) {
  const CounterfactualLabels left = [of](const Tensor& base, const Tensor& source) {
    return of.label(source, base);
  };
  const CounterfactualLabels right = [of](const Tensor& base, const Tensor& source) {
    return of.label(base, source);
  };
  const CounterfactualLabels result = [of](const Tensor&, const Tensor& source) {
    return of.label(source, source);
  };
  const auto variable = [&](const char* name, const char* says, const CounterfactualLabels& labels,
                            std::vector<CounterfactualLabels> others, const Tensor& elements) {
    return CausalVariable{name,
                          says,
                          labels,
                          std::move(others),
                          at_elements(keys.keys, elements),
                          at_elements(keys.others, elements),
                          {}};
  };
  const Tensor product = of.products.index({of.left, of.right});
  return {
      variable("left", "a", left, {right, result}, of.left),
      variable("right", "b", right, {left, result}, of.right),
      {"operands", "a and b", result, {left, right}, of_both(keys.keys, of), of_both(keys.others, of), {}},
      variable("result", "a op b", result, {left, right}, product)};
}

}  // namespace

namespace interchanging {

VariableSet operand_variables(const Observation& observation, const VariableOptions& options) {
  if (!options.keys) throw Error("variables of operands need key functions", "see find_key_functions()");
  if (!observation.split.grid || observation.spec.read_out.size() != 1)
    throw UsageError(
        "hypotheses about operands need a task that lists its grid of inputs and has one output position",
        "test a hypothesis of your own with orrery/interchange.h");
  const OperandIndices indices = operand_indices(observation.structure);
  const int64_t n = indices.order();
  const Tensor has_pair = indices.pairs(observation.split.grid->tokens) >= 0;
  VariableSet set;
  set.inputs = observation.split.grid->rows(has_pair.nonzero().flatten());
  set.fit_inputs = set.inputs;
  const Tensor pair = indices.pairs(set.inputs.tokens);
  const Operands of{pair.div(n, "floor"), pair.remainder(n), products_in(observation.structure, n),
                    indices.classes(torch::arange(indices.n_classes(), torch::kInt64))};
  set.variables = variables_of(of, *options.keys);
  const Model& model = observation.model;
  set.variables[0].sites = sites_of_operand(model, indices.left_position(), options.sites);
  set.variables[1].sites = sites_of_operand(model, indices.right_position(), options.sites);
  set.variables[2].sites = set.variables[3].sites = sites_of_both(model, options.sites);
  return set;
}

}  // namespace interchanging

KeyFunctions find_key_functions(const KeyFrequencyParams& params, const Observation& observation,
                                uint64_t seed) {
  const Structure& structure = observation.structure;
  if (!structure.cyclic && !structure.group)
    throw UsageError("key functions are those of a task with cyclic or group structure");
  const Blocks blocks = structure.cyclic ? waves_at(params, observation) : representations_at(observation);
  KeyFunctions found;
  std::vector<Tensor> keys, others;
  for (size_t b = 0; b < blocks.functions.size(); ++b) {
    if (!blocks.key[b]) continue;
    keys.push_back(blocks.functions[b]);
    found.names.push_back(blocks.names[b]);
  }
  found.keys = torch::cat(keys);
  const Tensor order =
      torch::randperm(static_cast<int64_t>(blocks.functions.size()), make_generator(seed), torch::kInt64);
  for (int64_t i = 0; i < order.size(0); ++i) {
    const auto b = static_cast<size_t>(order[i].item<int64_t>());
    if (!blocks.key[b]) others.push_back(blocks.functions[b]);
  }
  if (others.empty()) return found;
  const Tensor all = torch::cat(others);
  found.others = all.narrow(0, 0, std::min(all.size(0), found.keys.size(0)));
  return found;
}

}  // namespace orrery
