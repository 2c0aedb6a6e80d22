// The framework's optimisers, over the flat buffer of all weights.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/config/train_settings.h"
#include "engine/train/flat_weights.h"

namespace orrery::engine {

/// Neighbours in the flat buffer that are trained alike.
struct WeightRange {
  int64_t begin, size;
  double lr, weight_decay;
};

/// The updates of torch.optim: AdamW (Loshchilov & Hutter 2019; decay is decoupled), Adam and SGD with
/// momentum (decay is added to the gradient, as that of weight_decay / 2 |w|^2), each with an optional L1
/// penalty l1 |w|.
class Optimizer {
 public:
  /// Of the weights in `ranges`; the others stay as they are. `flat` must outlive it.
  Optimizer(const FlatWeights& flat, const TrainSettings& settings, std::vector<WeightRange> ranges);
  /// One update from the current gradients, with the learning rate of each range times `factor`.
  void step(double factor);

  /// Everything besides the weights that the next update depends on, by name.
  std::vector<std::pair<std::string, torch::Tensor>> state() const;
  /// Restores a state(). Throws orrery::Error if a name is missing or a shape differs.
  void restore(const std::vector<std::pair<std::string, torch::Tensor>>& state);

 private:
  void step(const WeightRange& range, double lr);
  void penalise(const WeightRange& range);
  void adam_step(const WeightRange& range, double lr);
  void fused_adam_step(const WeightRange& range, double lr);
  void sgd_step(const WeightRange& range, double lr);
  std::vector<std::pair<std::string, torch::Tensor>> moments() const;

  const FlatWeights& flat_;
  TrainSettings settings_;
  std::vector<WeightRange> ranges_;
  int64_t updates_ = 0;
  torch::Tensor exp_avg_, exp_avg_sq_;  // [n_parameters]; the momentum of SGD is exp_avg_
};

}  // namespace orrery::engine
