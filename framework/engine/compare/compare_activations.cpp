#include "engine/compare/compare_activations.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/operand_grid.h>

#include <cmath>
#include <map>
#include <numbers>

#include "engine/compare/similarity.h"
#include "engine/reporter/numbers.h"

namespace orrery::engine {
namespace {

using torch::Tensor;

constexpr double share_kept = 0.99;
// Inputs in one forward pass; bounds the memory of activations.
constexpr int64_t piece = 2048;

// The same n inputs in the tokens of each network, or why they share none.
struct SharedInputs {
  Tensor a, b;  // tokens [n, n_ctx]
  std::string what, why_not;
  bool cyclic = false;
};

// The grid's inputs in the order of the pairs of indices i * n + j of their operands.
Tensor by_index(const CyclicStructure& cyclic, const Batch& grid) {
  const Tensor pairs = OperandIndices(cyclic).pairs(grid.tokens), rows = (pairs >= 0).nonzero().flatten();
  return grid.tokens.index_select(0, rows.index_select(0, pairs.index_select(0, rows).argsort()));
}

SharedInputs cyclic_inputs(const Experiment& a, const Experiment& b) {
  const auto tokens = [](const Experiment& of) { return by_index(*of.structure().cyclic, *of.split().grid); };
  SharedInputs shared{tokens(a), tokens(b), "", "", true};
  if (shared.a.size(0) != shared.b.size(0))
    return {{}, {}, "", "the grid of one task does not hold every pair of indices"};
  shared.what =
      fmt::format("the {} pairs of operands, by index in the cyclic group", thousands(shared.a.size(0)));
  return shared;
}

std::string layout(const TaskSpec& spec) {
  return fmt::format("{} tokens of a vocabulary of {}", spec.n_ctx, spec.d_vocab);
}

SharedInputs shared_inputs(const Experiment& a, const Experiment& b) {
  const auto is_cyclic = [](const Experiment& of) { return of.structure().cyclic && of.split().grid; };
  if (is_cyclic(a) && is_cyclic(b)) {
    const int64_t orders[] = {a.structure().cyclic->order, b.structure().cyclic->order};
    if (orders[0] == orders[1]) return cyclic_inputs(a, b);
    return {{}, {}, "", fmt::format("cyclic groups of orders {} and {}", orders[0], orders[1])};
  }
  const std::string tasks[] = {a.settings().task.name, b.settings().task.name};
  if (tasks[0] != tasks[1])
    return {{}, {}, "", fmt::format("their inputs mean different things: {} and {}", tasks[0], tasks[1])};
  const TaskSpec &x = a.spec(), &y = b.spec();
  if (x.n_ctx != y.n_ctx || x.d_vocab != y.d_vocab || x.read_out != y.read_out)
    return {{}, {}, "", fmt::format("their inputs differ: {} and {}", layout(x), layout(y))};
  const auto &one = a.split().grid, &other = b.split().grid;
  if (one && other && one->tokens.equal(other->tokens))
    return {one->tokens, one->tokens, fmt::format("all {} inputs of the task", thousands(one->size())), ""};
  const Batch& test = a.split().test;
  return {test.tokens, test.tokens, fmt::format("the {} test inputs of the first", thousands(test.size())),
          ""};
}

// [batch, n_read, ...] to [batch * n_read, features].
Tensor flat(const Tensor& x) { return x.reshape({x.size(0) * x.size(1), -1}); }

using Activations = std::map<std::string, Tensor>;

// Activations at the output positions by hook point, and "logits".
Activations activations(Model& model, const TaskSpec& spec, const Tensor& tokens,
                        const std::vector<std::string>& globs) {
  const torch::NoGradGuard no_grad;
  const Tensor positions = torch::tensor(spec.read_out, torch::kInt64);
  std::map<std::string, std::vector<Tensor>> pieces;
  for (int64_t start = 0; start < tokens.size(0); start += piece) {
    const auto seen =
        run_with_cache(model, tokens.narrow(0, start, std::min(piece, tokens.size(0) - start)), globs);
    pieces["logits"].push_back(flat(seen.logits.index_select(1, positions)));
    for (const std::string& name : seen.cache.names()) {
      const HookPoint& point = *model.find_hook_point(name);
      // An activation of the whole input counts for each of its output positions.
      const int64_t dim = point.position_dim() < 0 ? 1 : point.position_dim();
      const Tensor here = at_positions(point, seen.cache[name], positions).movedim(dim, 1);
      if (here.size(1) == positions.size(0)) pieces[name].push_back(flat(here));
    }
  }
  Activations all;
  for (const auto& [name, parts] : pieces) all[name] = torch::cat(parts);
  return all;
}

// The rows of W_E in the order of the left operand's index; undefined if the model has no such weight.
void add_embedding(Activations& all, const Model& model, const CyclicStructure& cyclic) {
  if (const NamedWeight* W_E = model.find_weight("embed.W_E"))
    all[W_E->name] = OperandIndices(cyclic).left(W_E->value.detach());
}

Activations all_activations(Model& model, const Experiment& of, const Tensor& tokens, bool cyclic,
                            const std::vector<std::string>& globs) {
  Activations all = activations(model, of.spec(), tokens, globs);
  if (cyclic) add_embedding(all, model, *of.structure().cyclic);
  return all;
}

struct Subspaces {
  int64_t dims_a, dims_b;
  Tensor angles;
  double shared;
};

Subspaces subspaces(const Tensor& x, const Tensor& y) {
  const Tensor a = leading_components(x, share_kept), b = leading_components(y, share_kept);
  const Tensor angles = principal_angles(a, b);
  const auto most = static_cast<double>(std::max<int64_t>(1, std::max(a.size(1), b.size(1))));
  return {a.size(1), b.size(1), angles, angles.cos().square().sum().item<double>() / most};
}

SiteSimilarity similarity(const std::string& site, const Tensor& x, const Tensor& y, const Tensor& null_x,
                          const Tensor& null_y) {
  const Subspaces trained = subspaces(x, y);
  SiteSimilarity result{
      site, linear_cka(x, y), linear_cka(null_x, null_y),      trained.dims_a, trained.dims_b,
      {},   trained.shared,   subspaces(null_x, null_y).shared};
  for (int64_t i = 0; i < trained.angles.size(0); ++i)
    result.angles.push_back(trained.angles[i].item<double>() * 180 / std::numbers::pi);
  return result;
}

void check_globs(const Experiment& a, const Model& model, const std::vector<std::string>& globs) {
  for (const std::string& glob : globs) {
    try {
      find_hook_points(model, glob);
    } catch (const Error& error) {
      throw UsageError(fmt::format("--hook {}: {}: {}", glob, a.settings().name, error.what()), error.hint());
    }
  }
}

// The requested hook points of each network; of the default ones, those it has.
std::vector<std::string> present(const Model& model, const std::vector<std::string>& globs) {
  std::vector<std::string> all;
  for (const std::string& glob : globs)
    for (const auto& point : model.hook_points())
      if (matches(glob, point->name())) {
        all.push_back(glob);
        break;
      }
  return all;
}

}  // namespace

ActivationComparison compare_activations(Experiment& a, Experiment& b,
                                         const std::vector<std::string>& globs) {
  if (!globs.empty()) {
    check_globs(a, a.model(), globs);
    check_globs(b, b.model(), globs);
  }
  const SharedInputs shared = shared_inputs(a, b);
  if (!shared.why_not.empty()) return {"", shared.why_not, {}};
  const std::vector<std::string> standard = {"*hook_attn_out", "*mlp.hook_post", "*hook_resid_post"};
  const auto look = [&](Experiment& of, Model& model, const Tensor& tokens) {
    return all_activations(model, of, tokens, shared.cyclic,
                           present(model, globs.empty() ? standard : globs));
  };
  const Activations x = look(a, a.model(), shared.a), y = look(b, b.model(), shared.b);
  const auto null_a = a.null_model(), null_b = b.null_model(1);
  const Activations null_x = look(a, *null_a, shared.a), null_y = look(b, *null_b, shared.b);
  ActivationComparison result{shared.what, "", {}};
  for (const auto& [site, here] : x)
    if (y.contains(site) && here.size(0) == y.at(site).size(0))
      result.sites.push_back(similarity(site, here, y.at(site), null_x.at(site), null_y.at(site)));
  return result;
}

}  // namespace orrery::engine
