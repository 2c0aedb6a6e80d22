#include "head_circuits.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace induction_heads {
namespace {

using orrery::Observation;
using torch::Tensor;

Tensor exact(const Observation& observation, const std::string& name) {
  return observation.weight(name).to(torch::kFloat64);
}

// `W`, its second last dimension d_model, behind the LayerNorm `norm`.
Tensor behind_norm(const Observation& observation, const std::string& norm, const Tensor& W) {
  const bool has_gain = observation.model.find_weight(norm + ".w");
  return has_gain ? exact(observation, norm + ".w").unsqueeze(-1) * W : W;
}

Tensor norms(const Tensor& matrices) { return matrices.square().sum({-2, -1}).sqrt(); }

// R of Q R = X: X M has the norm of R M, and R is small.
Tensor triangular(const Tensor& X) { return std::get<1>(torch::linalg_qr(X, "r")); }

Tensor ratio(const Tensor& part, const Tensor& whole) {
  return torch::where(whole > 0, part / whole, torch::zeros_like(whole));
}

// Where the later heads compute reads * writes^T, both [n_heads, d_model, d_head].
Tensor strength(const HeadWeights& earlier, const Tensor& reads, const Tensor& writes) {
  const Tensor A = triangular(earlier.V).matmul(earlier.O);
  const Tensor B = reads.matmul(triangular(writes).transpose(-1, -2));
  return ratio(norms(A.unsqueeze(1).matmul(B.unsqueeze(0))), norms(A).unsqueeze(1) * norms(B).unsqueeze(0));
}

}  // namespace

HeadWeights head_weights(const Observation& observation, int64_t layer) {
  const std::string block = "blocks." + std::to_string(layer) + ".";
  const auto reading = [&](const char* name) {
    return behind_norm(observation, block + "ln1", exact(observation, block + "attn." + name));
  };
  return {reading("W_Q"), reading("W_K"), reading("W_V"), exact(observation, block + "attn.W_O")};
}

Tensor token_embedding(const Observation& observation, const Tensor& tokens) {
  return exact(observation, "embed.W_E").index_select(0, tokens);
}

Tensor token_unembedding(const Observation& observation, const Tensor& tokens) {
  return behind_norm(observation, "ln_final", exact(observation, "unembed.W_U").index_select(1, tokens));
}

Tensor copying_scores(const HeadWeights& heads, const Tensor& W_E, const Tensor& W_U) {
  // The eigenvalues of X Y other than 0 are those of Y X.
  const Tensor small = heads.O.matmul(W_U).matmul(W_E.matmul(heads.V));
  const Tensor eigenvalues = torch::linalg_eigvals(small);
  return ratio(torch::real(eigenvalues).sum(-1), eigenvalues.abs().sum(-1));
}

Tensor ov_circuit(const HeadWeights& heads, int64_t head, const Tensor& W_E, const Tensor& W_U) {
  const Tensor ov = W_E.matmul(heads.V[head]).matmul(heads.O[head].matmul(W_U));
  return ov - ov.mean(1, /*keepdim=*/true);
}

Tensor k_composed_qk(const HeadWeights& earlier, int64_t from, const HeadWeights& later, int64_t to,
                     const Tensor& W_E) {
  const Tensor written = W_E.matmul(earlier.V[from]).matmul(earlier.O[from]);
  const Tensor scores = W_E.matmul(later.Q[to]).matmul(written.matmul(later.K[to]).t()) /
                        std::sqrt(static_cast<double>(later.Q.size(2)));
  return scores - scores.mean(1, /*keepdim=*/true);
}

Composition composition(const HeadWeights& earlier, const HeadWeights& later) {
  return {.q = strength(earlier, later.Q, later.K),
          .k = strength(earlier, later.K, later.Q),
          .v = strength(earlier, later.V, later.O.transpose(-1, -2))};
}

Baseline random_composition(int64_t d_model, int64_t d_head, uint64_t seed) {
  auto rng = orrery::make_generator(seed);
  const auto draw = [&] {
    const std::vector<int64_t> tall{8, d_model, d_head}, wide{8, d_head, d_model};
    const auto normal = [&](const std::vector<int64_t>& shape) {
      return torch::randn(shape, rng, torch::kFloat64);
    };
    return HeadWeights{normal(tall), normal(tall), normal(tall), normal(wide)};
  };
  const HeadWeights earlier = draw(), later = draw();
  const Composition all = composition(earlier, later);
  const Tensor entries = torch::stack({all.q, all.k, all.v});
  return {entries.mean().item<double>(), entries.std().item<double>()};
}

}  // namespace induction_heads
