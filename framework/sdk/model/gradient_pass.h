// The training loss of a fixed batch and its gradient, without autograd: for networks so small that
// autograd's bookkeeping takes longer than the arithmetic.
#pragma once

#include <orrery/model.h>
#include <orrery/task.h>

#include <memory>

namespace orrery {

class ORRERY_API GradientPass {
 public:
  virtual ~GradientPass();
  /// Returns the mean loss with the current weights and overwrites the gradients of all of them, which must
  /// be defined (Model::weights()[i].value.grad(), contiguous). They are unspecified if the loss is not
  /// finite.
  virtual double loss_and_gradients() = 0;
};

/// Null if the model has none for this batch. `batch` is on the CPU, as is the model; `loss` is computed in
/// float64. With LibTorch 1.13 it gives the same bits as read_out(), kernels::cross_entropy() or the hinge,
/// and backward(); later versions sum the gradients of a single output in another order, so there the last
/// bit may differ. The model must outlive the pass.
ORRERY_API std::unique_ptr<GradientPass> gradient_pass(Model& model, const TaskSpec& spec,
                                                       const Batch& batch);

}  // namespace orrery
