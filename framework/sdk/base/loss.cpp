#include <orrery/loss.h>

namespace orrery {

LossFunction::~LossFunction() = default;

std::string LossFunction::refusal(const TaskSpec&) const { return ""; }

torch::Tensor LossFunction::reduce(const torch::Tensor& each, const Batch& batch) const {
  return mean_over_labels(each, batch);
}

torch::Tensor mean_over_labels(const torch::Tensor& each, const Batch& batch) {
  torch::Tensor kept = each;
  if (batch.scored.defined()) kept = kept.masked_fill(batch.scored.logical_not(), 0);
  if (!batch.weights.defined()) return batch.scored.defined() ? kept.sum() / batch.scored.sum() : kept.mean();
  // One weight of each example, or one of each label.
  torch::Tensor weights =
      batch.weights.to(each.scalar_type()).reshape({batch.labels.size(0), -1}).expand_as(kept);
  if (batch.scored.defined()) weights = weights * batch.scored;
  return (kept * weights).sum() / weights.sum();
}

}  // namespace orrery
