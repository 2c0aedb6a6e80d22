#include "engine/train/loss.h"

#include <limits>

namespace orrery::engine {
namespace {

// [batch, n_read]: the loss of each label, before the loss mask.
torch::Tensor each_loss(Loss loss, const torch::Tensor& logits, const Batch& batch, torch::Dtype dtype) {
  const torch::Tensor precise = logits.to(dtype);
  if (loss == Loss::hinge) return torch::relu(1 - (2 * batch.labels - 1) * precise.squeeze(-1));
  return -torch::log_softmax(precise, -1).gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1);
}

torch::Tensor answers(Loss loss, const torch::Tensor& logits) {
  return loss == Loss::hinge ? (logits.squeeze(-1) > 0).to(torch::kInt64) : logits.argmax(-1);
}

}  // namespace

torch::Tensor mean_loss(Loss loss, const torch::Tensor& logits, const Batch& batch, torch::Dtype dtype) {
  const torch::Tensor each = each_loss(loss, logits, batch, dtype);
  if (!batch.scored.defined()) return each.mean();
  return each.masked_fill(batch.scored.logical_not(), 0).sum() / batch.scored.sum();
}

void Score::add(const torch::Tensor& logits, const Batch& batch) {
  const torch::Tensor counts =
      batch.scored.defined() ? batch.scored.to(torch::kFloat64)
                             : torch::ones(batch.labels.sizes(), logits.options().dtype(torch::kFloat64));
  const torch::Tensor each = each_loss(kind_, logits, batch, torch::kFloat64).masked_fill(counts == 0, 0);
  loss_ += each.sum().item<double>();
  correct_ += ((answers(kind_, logits) == batch.labels) * counts).sum().item<double>();
  count_ += counts.sum().item<double>();
  group_loss_.resize(groups_.size());
  group_count_.resize(groups_.size());
  for (size_t g = 0; g < groups_.size(); ++g) {
    const torch::Tensor in_group = counts * (batch.groups == static_cast<int64_t>(g));
    group_loss_[g] += (each * in_group).sum().item<double>();
    group_count_[g] += in_group.sum().item<double>();
  }
}

Metrics Score::metrics(const std::string& prefix) const {
  const auto ratio = [](double sum, double count) {
    return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
  };
  Metrics all = {{prefix + "/loss", ratio(loss_, count_)}, {prefix + "/accuracy", ratio(correct_, count_)}};
  for (size_t g = 0; g < group_loss_.size(); ++g)
    all.emplace_back(prefix + "/loss/" + groups_[g], ratio(group_loss_[g], group_count_[g]));
  return all;
}

}  // namespace orrery::engine
