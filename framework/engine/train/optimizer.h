// Optimisers over one flat buffer: all weights of a model are views into it, so an update takes a handful of
// long vector operations instead of a handful per weight.
#pragma once

#include <orrery/model.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/config/train_settings.h"

namespace orrery::engine {

/// A model's weights, laid end to end. The model's own weights become views of `values`, and their gradients
/// views of `gradients`. The model must outlive this and must not move to another device afterwards.
class FlatWeights {
 public:
  explicit FlatWeights(Model& model);
  torch::Tensor values() const { return values_; }        ///< [n_parameters] float32
  torch::Tensor gradients() const { return gradients_; }  ///< [n_parameters] float32
  void zero_gradients() { gradients_.zero_(); }
  /// Splits `flat` [n_parameters] into named tensors of the weights' shapes, which share its memory.
  std::vector<std::pair<std::string, torch::Tensor>> unflatten(const torch::Tensor& flat) const;

 private:
  Model& model_;
  torch::Tensor values_, gradients_;
};

/// The updates of torch.optim: AdamW (Loshchilov & Hutter 2019; decay is decoupled), Adam and SGD with
/// momentum (decay is added to the gradient, as that of weight_decay / 2 |w|^2), each with an optional L1
/// penalty l1 |w|.
class Optimizer {
 public:
  Optimizer(Model& model, const TrainSettings& settings);
  /// One update from the current gradients, with learning rate `lr`.
  void step(double lr);
  void zero_gradients() { flat_.zero_gradients(); }

  /// Everything besides the weights that the next update depends on, by name.
  std::vector<std::pair<std::string, torch::Tensor>> state() const;
  /// Restores a state(). Throws orrery::Error if a name is missing or a shape differs.
  void restore(const std::vector<std::pair<std::string, torch::Tensor>>& state);

 private:
  FlatWeights flat_;
  void penalise();
  void adam_step(double lr);
  void fused_adam_step(double lr);
  void sgd_step(double lr);
  std::vector<std::pair<std::string, torch::Tensor>> moments() const;

  TrainSettings settings_;
  int64_t updates_ = 0;
  torch::Tensor exp_avg_, exp_avg_sq_;  // [n_parameters]; the momentum of SGD is exp_avg_
};

}  // namespace orrery::engine
