// The cross-entropy of float32 logits, computed in float64, with its gradient in the same pass.
#pragma once

#include <orrery/export.h>
#include <orrery/task.h>

namespace orrery::kernels {

/// Whether cross_entropy can compute the task's loss for these logits: plain cross-entropy, without weights.
ORRERY_API bool cross_entropy_fits(const TaskSpec& spec, const Batch& batch, const torch::Tensor& logits,
                                   torch::Dtype dtype);

/// mean_loss of Loss::cross_entropy in float64. logits: [batch, n_read, d_vocab_out], float32, on the CPU.
ORRERY_API torch::Tensor cross_entropy(const torch::Tensor& logits, const Batch& batch);

}  // namespace orrery::kernels
