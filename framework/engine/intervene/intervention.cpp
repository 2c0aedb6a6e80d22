#include "engine/intervene/intervention.h"

#include <algorithm>
#include <limits>
#include <map>

namespace orrery::engine {
namespace {

constexpr int64_t piece_size = 2048;  // examples in one forward pass: bounds the memory of activations

std::vector<std::string> hooks_of(const std::vector<Component>& components) {
  std::vector<std::string> hooks;
  for (const Component& component : components) hooks.push_back(component.hook);
  return hooks;
}

torch::Tensor piece_of(const torch::Tensor& tokens, int64_t start) {
  return tokens.narrow(0, start, std::min(piece_size, tokens.size(0) - start));
}

std::vector<Hook> exchanging(const std::vector<Component>& components, const ActivationCache& others) {
  std::vector<Hook> hooks;
  for (const Component& component : components)
    hooks.emplace_back(component.hook, [&component, &others](const torch::Tensor& activation) {
      const torch::Tensor other =
          others.contains(component.hook) ? others[component.hook] : torch::zeros_like(activation);
      return component.patch(activation, other.to(activation.device()).expand_as(activation));
    });
  return hooks;
}

double mean_of(const torch::Tensor& values, const torch::Tensor& counted) {
  const double count = counted.sum().item<double>();
  return count > 0 ? (values * counted).sum().item<double>() / count
                   : std::numeric_limits<double>::quiet_NaN();
}

// [batch, n_read]: the logit of the right class minus the mean over the classes.
torch::Tensor right_logits(const TaskSpec& spec, const torch::Tensor& logits, const torch::Tensor& labels) {
  if (has_one_logit(spec.loss)) return (2 * labels - 1) * logits.squeeze(-1);
  return logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1) - logits.mean(-1);
}

}  // namespace

Source zeros() {
  return [](int64_t, const torch::Tensor&) { return ActivationCache(); };
}

Source means(Model& model, const Batch& batch, const std::vector<Component>& components) {
  torch::NoGradGuard no_grad;
  std::map<std::string, torch::Tensor> sums;
  for (int64_t start = 0; start < batch.size(); start += piece_size) {
    const auto seen =
        run_with_cache(model, piece_of(batch.tokens, start).to(model.device()), hooks_of(components)).cache;
    for (const std::string& name : seen.names()) {
      const torch::Tensor sum = seen[name].to(torch::kFloat64).sum(0, /*keepdim=*/true);
      torch::Tensor& total = sums[name];
      total = total.defined() ? total + sum : sum;
    }
  }
  ActivationCache mean;
  for (const auto& [name, sum] : sums)
    mean.put(name, (sum / static_cast<double>(batch.size())).to(torch::kFloat32));
  return [mean](int64_t, const torch::Tensor&) { return mean; };
}

Source resampled(Model& model, const Batch& batch, const std::vector<Component>& components,
                 torch::Generator rng) {
  // A cyclic shift of a random order, so no input receives its own activation.
  const torch::Tensor order = torch::randperm(batch.size(), rng, torch::kInt64);
  const torch::Tensor donors = torch::empty_like(order).index_put_({order}, order.roll(1));
  return patched(model, batch.tokens.index_select(0, donors), components);
}

Source patched(Model& source, torch::Tensor tokens, const std::vector<Component>& components) {
  return [&source, tokens = std::move(tokens), hooks = hooks_of(components)](int64_t start,
                                                                             const torch::Tensor& own) {
    const torch::Tensor seen = tokens.defined() ? tokens.narrow(0, start, own.size(0)) : own;
    return run_with_cache(source, seen.to(source.device()), hooks).cache;
  };
}

torch::Tensor intervene(Model& model, const TaskSpec& spec, const torch::Tensor& tokens,
                        const std::vector<Component>& components, const Source& source) {
  torch::NoGradGuard no_grad;
  const torch::Tensor positions = torch::tensor(spec.read_out, torch::kInt64).to(model.device());
  std::vector<torch::Tensor> logits;
  for (int64_t start = 0; start < tokens.size(0); start += piece_size) {
    const torch::Tensor piece = piece_of(tokens, start);
    const ActivationCache others = components.empty() ? ActivationCache() : source(start, piece);
    logits.push_back(run_with_hooks(model, piece.to(model.device()), exchanging(components, others))
                         .index_select(1, positions)
                         .to(torch::kCPU));
  }
  return torch::cat(logits);
}

Metrics scores(const TaskSpec& spec, const torch::Tensor& logits, const Batch& batch) {
  torch::NoGradGuard no_grad;
  Score score(spec);
  score.add(logits, batch);
  Metrics all;
  for (const auto& [name, value] : score.metrics("")) all.emplace_back(name.substr(1), value);
  const torch::Tensor right = right_logits(spec, logits.to(torch::kFloat64), batch.labels);
  const torch::Tensor counted =
      (batch.scored.defined() ? batch.scored : torch::ones_like(batch.labels)).to(torch::kFloat64);
  all.emplace_back("logit", mean_of(right, counted));
  for (size_t g = 0; g < spec.groups.size(); ++g)
    all.emplace_back("logit/" + spec.groups[g],
                     mean_of(right, counted * (batch.groups == static_cast<int64_t>(g))));
  return all;
}

}  // namespace orrery::engine
