// The read-out pass of one attention layer and its MLP, as sums over tables.
#pragma once

#include <functional>
#include <vector>

#include "sdk/model/transformer_weights.h"

namespace orrery {

/// What make_read_out returns, for a transformer of one layer, without LayerNorm, with a ReLU MLP, that is
/// read at one position, on the CPU; empty where that is not so or does not pay.
///
/// Followed through W_V, W_O, W_in and W_U, which are linear, an example's pre-activations and what goes past
/// the neurons to its logits are sums over keys and heads of attention times a row of a table, with as many
/// rows as there are distinct (token, position) pairs; and W_out W_U is one matrix.
std::function<torch::Tensor()> make_folded_read_out(const TransformerWeights& weights,
                                                    const torch::Tensor& tokens,
                                                    const std::vector<int64_t>& positions);

}  // namespace orrery
