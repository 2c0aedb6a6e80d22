// Forward passes with parts of the network exchanged, and what that does to loss, accuracy and logits. Hooks
// are scoped: whatever throws, the model is clean afterwards.
#pragma once

#include <orrery/hooks.h>
#include <orrery/task.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/intervene/component.h"
#include "engine/train/loss.h"

namespace orrery::engine {

/// What stands in for the activations of the inputs `tokens` [n, n_ctx], which are the rows from `start` on
/// of the batch: one tensor per hook point, of the activation's shape or to be expanded to it.
using Replacement = std::function<ActivationCache(int64_t start, const torch::Tensor& tokens)>;

/// Zeros.
Replacement zeros();
/// The mean over the inputs of `batch`, at each position by itself (mean ablation).
Replacement means(Model& model, const Batch& batch, const std::vector<Component>& components);
/// What the network computes for another input of `batch`, drawn without replacement (resample ablation; Chan
/// et al. 2022, "Causal scrubbing").
Replacement resampled(Model& model, const Batch& batch, const std::vector<Component>& components,
                      torch::Generator rng);
/// What `source` computes for the inputs `tokens` [n, n_ctx] in place of its own (activation patching);
/// undefined tokens: for the same inputs, which patches between two checkpoints.
Replacement patched(Model& source, torch::Tensor tokens, const std::vector<Component>& components);

/// The logits [batch, n_read, d_vocab_out] at the read-out positions with the components exchanged; none: as
/// they are.
torch::Tensor intervene(Model& model, const TaskSpec& spec, const torch::Tensor& tokens,
                        const std::vector<Component>& components, const Replacement& replacement);

/// "loss", "accuracy" and "logit", the mean logit of the right class about the mean over the classes; and
/// "loss/<group>", "logit/<group>" where the task has groups. For Loss::hinge the logit is y z.
Metrics scores(const TaskSpec& spec, const torch::Tensor& logits, const Batch& batch);

}  // namespace orrery::engine
