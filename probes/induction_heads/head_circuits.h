// What the weights of attention heads compute: copying (the OV circuit), and composition with earlier heads.
#pragma once

#include <orrery/probe.h>

#include <cstdint>

namespace induction_heads {

/// The heads of one layer; float64, on the CPU. Gains of LayerNorm, if any, are folded in.
struct HeadWeights {
  torch::Tensor Q, K, V;  ///< [n_heads, d_model, d_head]
  torch::Tensor O;        ///< [n_heads, d_head, d_model]
};
HeadWeights head_weights(const orrery::Observation& observation, int64_t layer);

/// Sum of Re(lambda) over sum of |lambda| for the eigenvalues of W_E W_V W_O W_U: [n_heads], from -1 to 1; 1
/// for a head that raises the logit of each token it attends to, 0 for one that writes nothing (Elhage et al.
/// 2021, "Summarizing OV/QK Matrices"). W_E: [n, d_model] and W_U: [d_model, n], of the same n tokens. The
/// nonzero eigenvalues come from a matrix [d_head, d_head].
torch::Tensor copying_scores(const HeadWeights& heads, const torch::Tensor& W_E, const torch::Tensor& W_U);

/// The embedding and unembedding of `tokens` for copying_scores; LayerNorm as in HeadWeights.
torch::Tensor token_embedding(const orrery::Observation& observation, const torch::Tensor& tokens);
torch::Tensor token_unembedding(const orrery::Observation& observation, const torch::Tensor& tokens);

/// W_E W_V W_O W_U of one head, about the mean of each row, to which softmax is invariant: [n, n], the
/// contribution of attending to a token (row) to the logit of each. W_E, W_U: as for copying_scores.
torch::Tensor ov_circuit(const HeadWeights& heads, int64_t head, const torch::Tensor& W_E,
                         const torch::Tensor& W_U);

/// The QK circuit of head `to`, its keys made by an earlier head, `from`, alone: W_E W_Q (W_E W_V W_O W_K)^T
/// / sqrt(d_head), about the mean of each row. [n, n]: the score that a token (row) gives to a position to
/// which the earlier head has copied each token. An induction head prefers its own (Elhage et al. 2021).
torch::Tensor k_composed_qk(const HeadWeights& earlier, int64_t from, const HeadWeights& later, int64_t to,
                            const torch::Tensor& W_E);

/// ||A B|| / (||A|| ||B||), Frobenius norms, where A = W_V W_O is the output of an earlier head and B the
/// input of a later one: W_Q W_K^T by its queries (q), W_K W_Q^T by its keys (k), W_V W_O by its values (v).
/// Each is [n_heads, n_heads] by earlier and later head, from 0 to 1 (Elhage et al. 2021).
struct Composition {
  torch::Tensor q, k, v;
};
Composition composition(const HeadWeights& earlier, const HeadWeights& later);

/// The baseline of composition(): mean and standard deviation of its entries for Gaussian weights of this
/// size. The mean square is 1 / d_model for any A and B that are unrelated.
struct Baseline {
  double mean, deviation;
};
Baseline random_composition(int64_t d_model, int64_t d_head, uint64_t seed);

}  // namespace induction_heads
