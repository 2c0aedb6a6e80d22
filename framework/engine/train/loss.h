// The training loss, and the reported scores.
#pragma once

#include <orrery/loss.h>
#include <orrery/task.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace orrery::engine {

/// The mean of the task's loss over the labels in the loss mask (Batch::scored), weighted by Batch::weights,
/// as a 0-d differentiable tensor. logits: [batch, n_read, d_vocab_out]. Computed in `dtype`: in float32 a
/// cross-entropy cannot fall below 1.2e-7 (one ulp below 1), which causes spikes late in training (Thilak et
/// al. 2022 call them slingshots).
torch::Tensor mean_loss(const TaskSpec& spec, const torch::Tensor& logits, const Batch& batch,
                        torch::Dtype dtype);

/// Of the framework's losses by name, cross_entropy, hinge, logistic or mse_one_hot; nothing for others.
std::optional<Loss> loss_named(const std::string& name);

/// Named numbers in the order in which they are written.
using Metrics = std::vector<std::pair<std::string, double>>;

/// Accumulates scores over examples, so that a large set can be scored in pieces.
class Score {
 public:
  /// With a `loss` of a plugin, which must outlive it, that is the loss of the metrics.
  explicit Score(TaskSpec spec, const LossFunction* loss = nullptr)
      : spec_(std::move(spec)), loss_of_(loss) {}
  /// logits: [batch, n_read, d_vocab_out]. Computes the loss in float64.
  void add(const torch::Tensor& logits, const Batch& batch);
  /// "train/loss", "train/accuracy", and "train/loss/<group>" if the task has groups; with the loss of a
  /// plugin also "train/task_loss", the task's own. NaN if the loss mask left nothing. The losses are
  /// weighted means as in mean_loss(); the accuracy is the share of right labels.
  Metrics metrics(const std::string& prefix) const;

 private:
  TaskSpec spec_;
  const LossFunction* loss_of_;
  double task_loss_ = 0, loss_ = 0, weight_ = 0, correct_ = 0, count_ = 0;
  std::vector<double> group_loss_, group_weight_;
};

}  // namespace orrery::engine
