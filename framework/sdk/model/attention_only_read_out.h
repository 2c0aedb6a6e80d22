// The read-out pass of transformers without MLPs and LayerNorm, whose residual stream is a sum of known
// parts.
#pragma once

#include <functional>
#include <vector>

#include "sdk/model/transformer_weights.h"

namespace orrery {

/// What make_read_out returns for an attention-only transformer without LayerNorm and biases, read at its
/// first positions, on the CPU; empty where that is not so.
///
/// The residual stream is an embedding, a positional embedding and what earlier heads wrote; queries, keys,
/// values and logits are linear in it. So the first two are rows of tables, and W_O times what reads it is
/// one matrix ("virtual weights", Elhage et al. 2021): the stream itself is never computed. Logits that are
/// not scored are 0; scored: bool [batch, n_read], or undefined where all are.
std::function<torch::Tensor()> make_attention_only_read_out(const TransformerWeights& weights,
                                                            const torch::Tensor& tokens,
                                                            const std::vector<int64_t>& positions,
                                                            const torch::Tensor& scored);

}  // namespace orrery
