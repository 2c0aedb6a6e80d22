// The loss that is trained on, and the scores that are reported.
#pragma once

#include <orrery/task.h>

#include <string>
#include <utility>
#include <vector>

namespace orrery::engine {

/// The mean loss over the labels that count, as a 0-d tensor that can be differentiated.
/// logits: [batch, n_read, d_vocab_out]. It is computed in `dtype`: in float32 a cross-entropy floors
/// at 1.2e-7 (one ulp below 1), which causes spikes late in training (Thilak et al. 2022 call them
/// slingshots).
torch::Tensor mean_loss(Loss loss, const torch::Tensor& logits, const Batch& batch, torch::Dtype dtype);

/// Named numbers in the order in which they are written.
using Metrics = std::vector<std::pair<std::string, double>>;

/// Sums over examples, so that a large set can be scored piece by piece.
class Score {
 public:
  Score(Loss loss, std::vector<std::string> groups) : kind_(loss), groups_(std::move(groups)) {}
  /// logits: [batch, n_read, d_vocab_out]; the loss is computed in float64.
  void add(const torch::Tensor& logits, const Batch& batch);
  /// "train/loss", "train/accuracy", and "train/loss/<group>" where the task has groups. NaN where nothing
  /// counted.
  Metrics metrics(const std::string& prefix) const;

 private:
  Loss kind_;
  std::vector<std::string> groups_;
  double loss_ = 0, correct_ = 0, count_ = 0;
  std::vector<double> group_loss_, group_count_;
};

}  // namespace orrery::engine
