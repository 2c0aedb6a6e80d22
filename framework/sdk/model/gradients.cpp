#include <orrery/error.h>
#include <orrery/gradients.h>
#include <torch/csrc/autograd/autograd.h>

#include "sdk/kernels/positions.h"

namespace orrery {
namespace {

std::vector<std::string> weights_matching(const Model& model, const std::vector<std::string>& globs) {
  const std::vector<std::string> known = model.weight_names();
  std::vector<std::string> names;
  for (const std::string& name : known)
    for (const std::string& glob : globs)
      if (matches(glob, name)) {
        names.push_back(name);
        break;
      }
  for (const std::string& glob : globs)
    if (std::none_of(known.begin(), known.end(),
                     [&](const std::string& name) { return matches(glob, name); }))
      throw Error(fmt::format("the model has no weight \"{}\"{}", glob, did_you_mean(glob, known)),
                  fmt::format("the model has: {}", fmt::join(known, ", ")));
  return names;
}

void check_objective(const torch::Tensor& value) {
  if (!value.defined() || value.numel() != 1)
    throw Error("the objective of gradients() gave no scalar", "reduce it: .mean() or .sum()");
  if (!value.requires_grad())
    throw Error("the objective of gradients() does not depend on the logits in a differentiable way",
                "argmax, comparisons, item() and detach() cut the graph: use the logits themselves");
}

}  // namespace

Gradients gradients(Model& model, const torch::Tensor& tokens, const std::vector<int64_t>& read_out,
                    const Objective& objective, const GradientRequest& request) {
  const torch::AutoGradMode with_gradients(true);
  const std::vector<std::string> weights = weights_matching(model, request.weights);
  Gradients result;
  std::map<std::string, torch::Tensor> seen;
  std::vector<Hook> hooks = request.hooks;
  for (const std::string& glob : request.activations)
    for (const HookPoint* point : find_hook_points(model, glob))
      hooks.emplace_back(point->name(), [&seen, name = point->name()](const torch::Tensor& activation) {
        // One that does not depend on a weight, such as the bits of an input, becomes a leaf.
        const torch::Tensor kept =
            activation.requires_grad() ? activation : activation.detach().requires_grad_(true);
        seen[name] = kept;
        return kept;
      });
  const torch::Tensor logits =
      run_with_hooks(model, tokens, hooks).index_select(1, kernels::positions_on(tokens.device(), read_out));
  const torch::Tensor value = objective(logits);
  check_objective(value);
  std::vector<torch::Tensor> of;
  for (const std::string& name : weights) of.push_back(model.weight(name));
  for (const auto& [name, activation] : seen) of.push_back(activation);
  std::vector<torch::Tensor> found;
  if (!of.empty())
    found = torch::autograd::grad({value}, of, {}, /*retain_graph=*/false, /*create_graph=*/false,
                                  /*allow_unused=*/true);
  size_t next = 0;
  const auto take = [&](const torch::Tensor& like) {
    const torch::Tensor& gradient = found[next++];
    return gradient.defined() ? gradient.detach() : torch::zeros_like(like.detach());
  };
  for (const std::string& name : weights) result.of_weights[name] = take(model.weight(name));
  for (const auto& [name, activation] : seen) {
    result.of_activations.put(name, take(activation));
    result.activations.put(name, activation.detach());
  }
  result.value = value.item<double>();
  result.logits = logits.detach();
  return result;
}

}  // namespace orrery
