// Ablation and activation patching: forward passes with components replaced, and the loss, accuracy and
// logits they give. Hooks are scoped: the model has none left when a call returns or throws.
#pragma once

#include <orrery/hooks.h>
#include <orrery/task.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/intervene/component.h"
#include "engine/train/loss.h"

namespace orrery::engine {

/// Supplies the activations to patch in for `tokens` [n, n_ctx], the rows of the batch from `start` on: one
/// tensor per hook point, of the activation's shape or expandable to it.
using Source = std::function<ActivationCache(int64_t start, const torch::Tensor& tokens)>;

/// Zeros (zero ablation).
Source zeros();
/// The mean over the inputs of `batch`, at each position separately (mean ablation).
Source means(Model& model, const Batch& batch, const std::vector<Component>& components);
/// The model's activations on another input of `batch`, drawn without replacement (resample ablation; Chan et
/// al. 2022, "Causal scrubbing"). The model must outlive the result.
Source resampled(Model& model, const Batch& batch, const std::vector<Component>& components,
                 torch::Generator rng);
/// The activations of `source` on the inputs `tokens` [n, n_ctx] (activation patching, from a corrupted into
/// a clean run); with undefined tokens, on the inputs of the patched pass itself, which patches between two
/// checkpoints. `source` must outlive the result.
Source patched(Model& source, torch::Tensor tokens, const std::vector<Component>& components);

/// The logits [batch, n_read, d_vocab_out] at the output positions (TaskSpec::read_out) with the components
/// patched; without components, the baseline. On the CPU.
torch::Tensor intervene(Model& model, const TaskSpec& spec, const torch::Tensor& tokens,
                        const std::vector<Component>& components, const Source& source);

/// "loss", "accuracy" and "logit", the mean over the loss mask (Batch::scored) of the right class's logit
/// minus the mean over the classes; and "loss/<group>", "logit/<group>" if the task has groups. For
/// a loss of one logit it is y z.
Metrics scores(const TaskSpec& spec, const torch::Tensor& logits, const Batch& batch);

}  // namespace orrery::engine
