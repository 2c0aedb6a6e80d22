#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/operands.h>
#include <orrery/subspace.h>

#include <ATen/Functions.h>

#include <algorithm>

namespace orrery {
namespace {

const char* const kNeurons = "*mlp.hook_post";
const char* const kNeuronsAlone = "neurons_alone";

struct Neurons {
  torch::Tensor activations;  // [inputs, d_mlp] float64
  torch::Tensor to_logits;    // [d_mlp, classes] float64
};

std::string neurons_of(const Observation& observation) {
  std::vector<std::string> layers = observation.cache.names();
  std::erase_if(layers, [](const std::string& name) { return !matches(kNeurons, name); });
  if (layers.size() != 1)
    throw UsageError(fmt::format("the site \"neurons\" is that of a network with one layer of neurons; "
                                 "observed were {} ({})",
                                 layers.size(), fmt::join(layers, ", ")),
                     "name a hook point as the site, such as \"blocks.0.mlp.hook_post\"");
  return layers.front();
}

torch::Tensor logits_of(const Observation& observation, const torch::Tensor& rows, int64_t classes,
                        const std::vector<Hook>& hooks) {
  const torch::NoGradGuard no_grad;
  const auto tokens = observation.split.grid->tokens.index_select(0, rows).to(observation.model.device());
  return run_with_hooks(observation.model, tokens, hooks)
      .select(1, observation.spec.read_out.at(0))
      .narrow(1, 0, classes)
      .to(torch::kCPU, torch::kFloat64);
}

// Checks on a few inputs that ablating the neurons subtracts x W_L from the logits. LayerNorm and further
// layers change logits by about their own size, rounding by 1e-6 of it.
void check_linear(const Observation& observation, const LaidOutInputs& inputs, const std::string& hook,
                  const Neurons& neurons) {
  if (!observation.model.find_hook_point(hook)) return;  // weights only: there is nothing to run
  const int64_t few = std::min<int64_t>(8, inputs.rows.size(0)), classes = inputs.logits.size(1);
  const auto rows = inputs.rows.narrow(0, 0, few);
  const auto with = logits_of(observation, rows, classes, {});
  const auto without = logits_of(observation, rows, classes,
                                 {{hook, [](const torch::Tensor& x) { return torch::zeros_like(x); }}});
  const auto expected = neurons.activations.narrow(0, 0, few).matmul(neurons.to_logits);
  const auto off = (with - without - expected).abs().max();
  const auto size = with.abs().max() + without.abs().max() + expected.abs().max();
  if ((off > size * 1e-3).item<bool>())
    throw UsageError(fmt::format("the logits are not linear in the neurons \"{}\": a LayerNorm or another "
                                 "layer comes after them",
                                 hook),
                     fmt::format("set site = \"{}\", which asks the model itself", hook));
}

Neurons read_neurons(const Observation& observation, const LaidOutInputs& inputs) {
  const std::string hook = neurons_of(observation);
  const auto activations = observation.cache[hook].select(1, 0).index_select(0, inputs.rows);
  const Neurons neurons{activations.to(torch::kFloat64),
                        neurons_to_logits(observation, torch::kFloat64).narrow(1, 0, inputs.logits.size(1))};
  check_linear(observation, inputs, hook, neurons);
  return neurons;
}

torch::Tensor at_neurons(const SubspaceCut& how, const LaidOutInputs& inputs,
                         const Observation& observation) {
  const Neurons neurons = read_neurons(observation, inputs);
  const auto left = cut(how, neurons.activations);
  if (how.part == Part::keep || how.site == kNeuronsAlone) return left.matmul(neurons.to_logits);
  return inputs.logits - (neurons.activations - left).matmul(neurons.to_logits);
}

torch::Tensor cut_activation(const SubspaceCut& how, const HookPoint& point, int64_t read_out,
                             const torch::Tensor& activation) {
  if (torch::isinf(activation).any().item<bool>())
    throw UsageError(fmt::format("the activations of \"{}\" are infinite (attention scores that are masked), "
                                 "and no subspace holds them",
                                 point.name()),
                     "choose another site, such as attn.hook_pattern");
  try {
    if (point.position_dim() < 0 || how.positions == Positions::all)
      return cut(how, activation).to(activation.scalar_type());
    auto result = activation.clone(at::MemoryFormat::Contiguous);
    result.select(point.position_dim(), read_out)
        .copy_(cut(how, activation.select(point.position_dim(), read_out)));
    return result;
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("site \"{}\": {}", point.name(), error.what()), error.hint());
  }
}

torch::Tensor at_hook_points(const SubspaceCut& how, const LaidOutInputs& inputs,
                             const Observation& observation) {
  std::vector<std::string> sites{"logits", "neurons", kNeuronsAlone};
  std::vector<Hook> hooks;
  const int64_t read_out = observation.spec.read_out.at(0);
  for (const auto& point : observation.model.hook_points()) {
    sites.push_back(point->name());
    if (matches(how.site, point->name()))
      hooks.emplace_back(point->name(), [&how, &point = *point, read_out](const torch::Tensor& activation) {
        return cut_activation(how, point, read_out, activation);
      });
  }
  if (hooks.empty())
    throw UsageError(fmt::format("the model has no site \"{}\"{}", how.site, did_you_mean(how.site, sites)),
                     fmt::format("sites are: {}", fmt::join(sites, ", ")));
  return logits_of(observation, inputs.rows, inputs.logits.size(1), hooks);
}

// Bias::site with functions that are not orthogonal to the constant would not keep the mean, and not be a
// projection.
void check_bias(const SubspaceCut& how) {
  const auto* over_inputs = std::get_if<OverInputs>(&how.subspace);
  if (how.bias != Bias::site || !over_inputs) return;
  const auto constant = torch::ones({over_inputs->n_inputs()}, torch::kFloat64);
  if (over_inputs->project(constant).abs().max().item<double>() > 1e-6)
    throw UsageError("the mean over inputs cannot be kept at the site: the subspace holds part of it",
                     "subtract its mean from each function, or set the bias to none");
}

torch::Tensor at_site(const SubspaceCut& how, const LaidOutInputs& inputs, const Observation& observation) {
  if (how.site == "logits") return cut(how, inputs.logits);
  if (how.site == "neurons" || how.site == kNeuronsAlone) return at_neurons(how, inputs, observation);
  return at_hook_points(how, inputs, observation);
}

}  // namespace

torch::Tensor cut(const SubspaceCut& how, const torch::Tensor& x) {
  check_bias(how);
  const auto values = x.to(torch::kFloat64);
  const auto mean = how.bias == Bias::site ? values.mean(0, /*keepdim=*/true) : torch::Tensor();
  const auto about = mean.defined() ? values - mean : values;
  auto part = std::visit([&](const auto& subspace) { return subspace.project(about); }, how.subspace);
  const auto left = how.part == Part::keep  ? part
                    : about.requires_grad() ? about - part
                                            : at::sub_out(part, about, part);
  return mean.defined() ? left + mean : left;
}

LaidOutInputs laid_out(const OperandGrid& grid) { return {grid.rows(), grid.logits()}; }

Figure loss_without_each(const std::string& title, const std::string& x_label, const std::string& y_label,
                         const std::vector<std::pair<std::string, Losses>>& without) {
  Axis x{x_label};
  for (const auto& [name, losses] : without) x.ticks.push_back(name);
  Series series;
  for (size_t set = 0; !without.empty() && set < without.front().second.size(); ++set) {
    std::vector<double> heights;
    for (const auto& [name, losses] : without) heights.push_back(losses.at(set).second);
    series.emplace_back(without.front().second[set].first, torch::tensor(heights, torch::kFloat64));
  }
  Figure figure = Figure::bars("loss_without_each", title, std::move(x), y_label, series);
  figure.y_log = true;
  return figure;
}

torch::Tensor cut_logits(const SubspaceCut& how, const LaidOutInputs& inputs,
                         const Observation& observation) {
  const auto logits = at_site(how, inputs, observation);
  if (how.bias != Bias::logits) return logits;
  return logits + (inputs.logits - logits).mean(0);
}

}  // namespace orrery
