// The read-out pass of transformers without MLPs and LayerNorm, whose residual stream is a sum of known
// parts.
#pragma once

#include <functional>
#include <vector>

#include "sdk/model/transformer_weights.h"

namespace orrery {

/// The read-out pass for an attention-only transformer without LayerNorm and biases, with the first positions
/// as output positions, on the CPU; empty for any other model. It refers to `weights`.
///
/// The residual stream is the sum of an embedding, a positional embedding and the outputs of earlier heads;
/// queries, keys, values and logits are linear in it. So the first two become rows of tables, W_O times a
/// later matrix becomes one matrix ("virtual weights", Elhage et al. 2021), and the stream itself is never
/// computed. `scored` is the loss mask, bool [batch, n_read], undefined if all logits count; the others are
/// 0.
std::function<torch::Tensor()> make_attention_only_read_out(const TransformerWeights& weights,
                                                            const torch::Tensor& tokens,
                                                            const std::vector<int64_t>& positions,
                                                            const torch::Tensor& scored);

}  // namespace orrery
