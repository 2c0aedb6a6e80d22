// The losses that a task may have, label by label.
#pragma once

#include <orrery/export.h>
#include <orrery/task.h>

namespace orrery {

/// The loss of each label, before the loss mask and the weights: [batch, n_read], of the dtype of `logits`
/// [batch, n_read, d_vocab_out] and differentiable in them.
ORRERY_API torch::Tensor each_loss(const TaskSpec& spec, const torch::Tensor& logits, const Batch& batch);

}  // namespace orrery
