// The read-out pass of one attention layer and its MLP, as sums over tables.
#pragma once

#include <functional>
#include <vector>

#include "sdk/model/transformer_weights.h"

namespace orrery {

/// The last layer's neurons, [batch, n_read, d_mlp].
struct Neurons {
  torch::Tensor pre, post;
};

/// The read-out pass for a transformer of one layer, without LayerNorm, with a ReLU MLP and one output
/// position, on the CPU; empty for any other model, or if it does not pay. It refers to `weights`.
///
/// W_V, W_O, W_in and W_U are linear. So an example's pre-activations, and the logits of the stream that
/// bypasses the neurons, are sums over keys and heads of attention times a row of a table with one row per
/// distinct (token, position) pair; and W_out W_U is one matrix.
///
/// The pass leaves the neurons where it is told to, unless that is null.
std::function<torch::Tensor(Neurons*)> make_folded_read_out(const TransformerWeights& weights,
                                                            const torch::Tensor& tokens,
                                                            const std::vector<int64_t>& positions);

}  // namespace orrery
