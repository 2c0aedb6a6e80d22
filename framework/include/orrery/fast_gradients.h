// The loss of a batch and its gradient in the weights as one vector, by the fast passes that training uses:
// for probes that need them hundreds of times, at points of their own. orrery/gradients.h takes any
// objective, and activations, by the plain pass.
#pragma once

#include <orrery/export.h>
#include <orrery/model.h>
#include <orrery/probe.h>
#include <orrery/task.h>

#include <memory>
#include <string>
#include <vector>

namespace orrery {

/// The loss of the run, a mean over the labels of a batch (Observation::losses and mean_over_labels; without
/// weight decay and Model::penalty), as a function of some of a model's weights. The vector of these weights
/// is that of Model::weights() in order, each flattened: [d] float32 on the CPU.
class ORRERY_API LossGradient {
 public:
  /// `model` is to be written to: give Observation::copy_of_model(). `weights` names those that vary, by
  /// glob. Both `observation` and `model` must outlive this object. Throws orrery::Error, with the nearest
  /// name, for a glob that matches nothing.
  LossGradient(const Observation& observation, Model& model, const std::vector<std::string>& weights = {"*"});
  ~LossGradient();
  LossGradient(const LossGradient&) = delete;
  LossGradient& operator=(const LossGradient&) = delete;

  /// The examples that follow are about: on the CPU, at least one label in the loss mask. What a pass works
  /// out about them is worked out here, once.
  void set_batch(Batch batch);

  int64_t size() const;                      ///< d
  std::vector<std::string> names() const;    ///< of the weights that vary
  torch::Tensor weights() const;             ///< a copy of the vector
  void set_weights(const torch::Tensor& w);  ///< [d], any float dtype

  /// The loss with the present weights, up to rounding that of the plain pass, computed in float64.
  double loss();
  /// The same, and overwrites `gradient`, contiguous [d] float32 or float64. Where the loss is not finite,
  /// the gradient is unspecified. Works whether gradients are on or off, and leaves that as it is.
  double loss_and_gradient(const torch::Tensor& gradient);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace orrery
