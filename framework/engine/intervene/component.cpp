#include "engine/intervene/component.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>

namespace orrery::engine {
namespace {

// The hook points that end in `ending`, in the order of the forward pass.
std::vector<std::string> names_with(const Model& model, const std::string& ending) {
  std::vector<std::string> names = model.hook_point_names();
  std::erase_if(names, [&](const std::string& name) { return !matches("*" + ending, name); });
  return names;
}

const HookPoint& require(const Model& model, const std::string& name) {
  if (const HookPoint* point = model.find_hook_point(name)) return *point;
  const std::vector<std::string> names = model.hook_point_names();
  throw UsageError(fmt::format("the model has no hook point \"{}\"{}", name, did_you_mean(name, names)),
                   fmt::format("it has: {}", fmt::join(names, ", ")));
}

// `names` holds a hook point per layer.
std::string layer_of(const std::vector<std::string>& names, int64_t layer, const char* what) {
  if (names.empty()) throw UsageError(fmt::format("the model has no {}", what));
  if (layer < 0 || layer >= static_cast<int64_t>(names.size()))
    throw UsageError(fmt::format("there is no layer {} with {}", layer, what),
                     fmt::format("the model has {}: 0 to {}", names.size(), names.size() - 1));
  return names[static_cast<size_t>(layer)];
}

int64_t n_heads(const Model& model, int64_t layer) {
  return model.weight(fmt::format("blocks.{}.attn.W_O", layer)).size(0);
}

torch::Tensor with_index(const torch::Tensor& activation, const torch::Tensor& other, int64_t dim,
                         const torch::Tensor& index) {
  const torch::Tensor here = index.to(activation.device());
  return activation.index_copy(dim, here, other.index_select(dim, here));
}

}  // namespace

Component head_component(const Model& model, int64_t layer, int64_t head) {
  const std::string hook = layer_of(names_with(model, "attn.hook_z"), layer, "attention heads");
  if (const int64_t n = n_heads(model, layer); head < 0 || head >= n)
    throw UsageError(fmt::format("there is no head {}.{}", layer, head),
                     fmt::format("layer {} has heads 0 to {}", layer, n - 1));
  const torch::Tensor index = torch::tensor({head}, torch::kInt64);
  return {fmt::format("head {}.{}", layer, head), hook, [index](const auto& activation, const auto& other) {
            return with_index(activation, other, 2, index);
          }};
}

Component neuron_component(const Model& model, int64_t layer, const std::vector<int64_t>& neurons,
                           const std::string& name) {
  const std::string hook = layer_of(names_with(model, "mlp.hook_post"), layer, "neurons");
  // A hook point does not know its width; the weight that reads it does.
  const std::string W_out = hook.substr(0, hook.size() - std::string("hook_post").size()) + "W_out";
  const int64_t d_mlp = model.weight(W_out).size(0);
  for (const int64_t neuron : neurons)
    if (neuron < 0 || neuron >= d_mlp)
      throw UsageError(fmt::format("there is no neuron {}.{}", layer, neuron),
                       fmt::format("layer {} has neurons 0 to {}", layer, d_mlp - 1));
  const torch::Tensor index = torch::tensor(neurons, torch::kInt64);
  return {name, hook, [index](const auto& activation, const auto& other) {
            return with_index(activation, other, activation.dim() - 1, index);
          }};
}

Component direction_component(const Model& model, const std::string& hook, const torch::Tensor& directions,
                              const std::string& name) {
  require(model, hook);
  if (directions.dim() < 1 || directions.dim() > 2 || directions.numel() == 0 ||
      !directions.is_floating_point())
    throw UsageError(fmt::format("{}: expected real numbers of shape [d] or [k, d], got shape [{}]", name,
                                 fmt::join(directions.sizes(), ", ")),
                     "a direction has as many entries as the last dimension of the activation");
  const torch::Tensor rows =
      (directions.dim() == 1 ? directions.unsqueeze(0) : directions).to(torch::kFloat64);
  // The rows need not be orthogonal, so project onto their right singular vectors.
  const auto [u, s, v] = torch::svd(rows, /*some=*/true);
  const torch::Tensor kept = s > s.max() * 1e-10;
  const torch::Tensor basis = v.t().index_select(0, kept.nonzero().flatten());
  const torch::Tensor projection = basis.t().mm(basis);
  const int64_t d = rows.size(1);
  return {name, hook, [=](const torch::Tensor& activation, const torch::Tensor& other) {
            if (activation.size(-1) != d)
              throw UsageError(
                  fmt::format("{}: the direction has {} entries, the activation at \"{}\" has {}", name, d,
                              hook, activation.size(-1)),
                  "choose the hook point that it was found at with --at");
            return activation + (other - activation).matmul(projection.to(activation.options()));
          }};
}

Component whole_component(const Model& model, const std::string& hook, std::optional<int64_t> position) {
  const int64_t dim = require(model, hook).position_dim();
  if (!position) return {hook, hook, [](const torch::Tensor&, const torch::Tensor& other) { return other; }};
  if (dim < 0)
    throw UsageError(
        fmt::format("the activation at \"{}\" belongs to the whole input, not to a position", hook));
  const torch::Tensor index = torch::tensor({*position}, torch::kInt64);
  return {fmt::format("{} at position {}", hook, *position), hook,
          [index, dim](const auto& activation, const auto& other) {
            return with_index(activation, other, dim, index);
          }};
}

std::vector<Component> main_components(const Model& model) {
  std::vector<Component> all;
  const auto layers = static_cast<int64_t>(names_with(model, "attn.hook_z").size());
  for (int64_t layer = 0; layer < layers; ++layer)
    for (int64_t head = 0; head < n_heads(model, layer); ++head)
      all.push_back(head_component(model, layer, head));
  for (const std::string& hook : names_with(model, "mlp.hook_post"))
    all.push_back(whole_component(model, hook));
  return all;
}

}  // namespace orrery::engine
