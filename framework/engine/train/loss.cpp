#include "engine/train/loss.h"

#include <limits>

#include "sdk/base/losses.h"

namespace orrery::engine {
namespace {

torch::Tensor answers(Loss loss, const torch::Tensor& logits) {
  return has_one_logit(loss) ? (logits.squeeze(-1) > 0).to(torch::kInt64) : logits.argmax(-1);
}

// The weights of the labels: [batch, n_read], or [batch, 1] for one of each example.
torch::Tensor weights_of(const Batch& batch, torch::Dtype dtype) {
  return batch.weights.to(dtype).reshape({batch.labels.size(0), -1});
}

}  // namespace

torch::Tensor mean_loss(const TaskSpec& spec, const torch::Tensor& logits, const Batch& batch,
                        torch::Dtype dtype) {
  return mean_over_labels(each_loss(spec, logits.to(dtype), batch), batch);
}

std::optional<Loss> loss_named(const std::string& name) {
  for (const Loss loss : {Loss::cross_entropy, Loss::hinge, Loss::logistic, Loss::mse_one_hot})
    if (to_string(loss) == name) return loss;
  return std::nullopt;
}

void Score::add(const torch::Tensor& logits, const Batch& batch) {
  const torch::Tensor counts =
      batch.scored.defined() ? batch.scored.to(torch::kFloat64)
                             : torch::ones(batch.labels.sizes(), logits.options().dtype(torch::kFloat64));
  const bool weighted = batch.weights.defined();
  const torch::Tensor weights = weighted ? counts * weights_of(batch, torch::kFloat64) : counts;
  torch::Tensor each = each_loss(spec_, logits.to(torch::kFloat64), batch).masked_fill(counts == 0, 0);
  if (loss_of_) {
    task_loss_ += (weighted ? each * weights : each).sum().item<double>();
    each = loss_of_->each(logits.to(torch::kFloat64), batch).masked_fill(counts == 0, 0);
  }
  loss_ += (weighted ? each * weights : each).sum().item<double>();
  weight_ += weights.sum().item<double>();
  correct_ += ((answers(spec_.loss, logits) == batch.labels) * counts).sum().item<double>();
  count_ += counts.sum().item<double>();
  group_loss_.resize(spec_.groups.size());
  group_weight_.resize(spec_.groups.size());
  for (size_t g = 0; g < spec_.groups.size(); ++g) {
    const torch::Tensor in_group = weights * (batch.groups == static_cast<int64_t>(g));
    group_loss_[g] += (each * in_group).sum().item<double>();
    group_weight_[g] += in_group.sum().item<double>();
  }
}

Metrics Score::metrics(const std::string& prefix) const {
  const auto ratio = [](double sum, double count) {
    return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
  };
  Metrics all = {{prefix + "/loss", ratio(loss_, weight_)}, {prefix + "/accuracy", ratio(correct_, count_)}};
  if (loss_of_) all.emplace_back(prefix + "/task_loss", ratio(task_loss_, weight_));
  for (size_t g = 0; g < group_loss_.size(); ++g)
    all.emplace_back(prefix + "/loss/" + spec_.groups[g], ratio(group_loss_[g], group_weight_[g]));
  return all;
}

}  // namespace orrery::engine
