// A training loss: what the gradient of an update is taken of. Register one with ORRERY_LOSS
// (orrery/plugin.h); a config names it with [train] loss.
#pragma once

#include <orrery/export.h>
#include <orrery/task.h>
#include <torch/types.h>

#include <string>

namespace orrery {

/// The interface of a loss plugin. The constructor takes the parameters and may throw orrery::UsageError
/// about them. The host checks what each() and reduce() return, and names the loss in its errors.
/// Threads: the host calls an instance from one thread at a time. Functions are const: the same arguments
/// give the same bits.
class ORRERY_API LossFunction {
 public:
  virtual ~LossFunction();

  /// Why networks cannot be trained on a task of these shapes with this loss: "it needs two classes or more,
  /// and the task has one logit". Default: "", any task is fine.
  virtual std::string refusal(const TaskSpec& spec) const;

  /// The loss of each label, before the loss mask and the weights: [batch, n_read], of the dtype of `logits`
  /// and differentiable in them. Reported losses ("train/loss", "train/loss/GROUP") are means of it, and
  /// labels outside of the loss mask may give anything.
  /// logits: [batch, n_read, d_vocab_out], on the model's device as is `batch`; float64, or float32 with
  /// train.loss_dtype = "float32".
  virtual torch::Tensor each(const torch::Tensor& logits, const Batch& batch) const = 0;

  /// The scalar whose gradient is taken, 0-d, of what each() gave. Default: mean_over_labels(). Override it
  /// for a loss that is not a mean, such as a sum or a mean of groups.
  virtual torch::Tensor reduce(const torch::Tensor& each, const Batch& batch) const;
};

/// The mean of `each` [batch, n_read] over the labels in the loss mask (Batch::scored), weighted by
/// Batch::weights; 0-d, differentiable. NaN if the mask leaves nothing.
ORRERY_API torch::Tensor mean_over_labels(const torch::Tensor& each, const Batch& batch);

}  // namespace orrery
