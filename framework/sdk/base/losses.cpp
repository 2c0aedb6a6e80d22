#include "sdk/base/losses.h"

namespace orrery {
namespace {

// [batch, n_read]: minus the log-probability of each label, or of its smoothed target.
torch::Tensor cross_entropies(const torch::Tensor& logits, const torch::Tensor& labels, double smoothing) {
  const torch::Tensor log_p = torch::log_softmax(logits, -1);
  const torch::Tensor of_labels = -log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1);
  return smoothing == 0 ? of_labels : (1 - smoothing) * of_labels - smoothing * log_p.mean(-1);
}

}  // namespace

torch::Tensor each_loss(const TaskSpec& spec, const torch::Tensor& logits, const Batch& batch) {
  const torch::Tensor& labels = batch.labels;
  switch (spec.loss) {
    case Loss::cross_entropy:
      return cross_entropies(logits, labels, spec.label_smoothing);
    case Loss::hinge:
      return torch::relu(1 - (2 * labels - 1) * logits.squeeze(-1));
    case Loss::logistic:
      return -torch::log_sigmoid((2 * labels - 1) * logits.squeeze(-1));
    case Loss::mse_one_hot:
      return (logits - torch::zeros_like(logits).scatter_(-1, labels.unsqueeze(-1), 1)).square().mean(-1);
  }
  return {};
}

}  // namespace orrery
