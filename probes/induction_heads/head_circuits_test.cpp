#include "head_circuits.h"

#include <gtest/gtest.h>
#include <tests/support/induction_circuit.h>

namespace induction_heads {
namespace {

using orrery::testing::InductionCircuit;
using orrery::testing::Observed;
using torch::Tensor;
using Normalization = orrery::TransformerConfig::Normalization;

Observed random_transformer(Normalization normalization, int64_t d_head = 3, int64_t d_vocab = 9,
                            int64_t d_vocab_out = 8) {
  orrery::TransformerConfig config;
  config.n_layers = 2;
  config.d_model = 10;
  config.n_heads = 2;
  config.d_head = d_head;
  config.attn_only = true;
  config.normalization_type = normalization;
  const orrery::TaskSpec spec{.d_vocab = d_vocab, .d_vocab_out = d_vocab_out, .n_ctx = 9, .read_out = {8}};
  Observed observed(spec, make_transformer(config, spec, orrery::make_generator(5)));
  torch::NoGradGuard no_grad;
  auto rng = orrery::make_generator(6);
  for (auto& weight : observed.model->weights())  // gains of LayerNorm are 1 at first
    if (weight.name.find("ln") != std::string::npos) weight.value.normal_(0, 1, rng);
  return observed;
}

Tensor exact(const Observed& observed, const std::string& name) {
  return observed.model->weight(name).detach().to(torch::kFloat64);
}

// The matrix that reads the residual stream in `layer`, one head of it, LayerNorm's gain multiplied in.
Tensor reading(const Observed& observed, int64_t layer, int64_t head, const std::string& name, bool norm) {
  const std::string block = "blocks." + std::to_string(layer) + ".";
  const Tensor W = exact(observed, block + "attn." + name)[head];
  return norm ? torch::diag(exact(observed, block + "ln1.w")).matmul(W) : W;
}
Tensor ov(const Observed& observed, int64_t layer, int64_t head, bool norm) {
  return reading(observed, layer, head, "W_V", norm)
      .matmul(exact(observed, "blocks." + std::to_string(layer) + ".attn.W_O")[head]);
}
Tensor qk(const Observed& observed, int64_t layer, int64_t head, bool norm) {
  return reading(observed, layer, head, "W_Q", norm).matmul(reading(observed, layer, head, "W_K", norm).t());
}

// Entry by entry.
double frobenius(const Tensor& matrix) {
  double sum = 0;
  for (int64_t i = 0; i < matrix.size(0); ++i)
    for (int64_t j = 0; j < matrix.size(1); ++j) sum += std::pow(matrix[i][j].item<double>(), 2);
  return std::sqrt(sum);
}
double product_share(const Tensor& A, const Tensor& B) {
  return frobenius(A.matmul(B)) / (frobenius(A) * frobenius(B));
}

// Both ways compute in float64, with sums of at most some hundred products of order 1.
constexpr double rounding = 1e-12;

TEST(Copying, IsThatOfTheFullMatrixOfTokens) {
  for (const auto normalization : {Normalization::none, Normalization::LN})
    for (const int64_t d_head : {3, 9}) {  // fewer than there are tokens, and more
      auto observed = random_transformer(normalization, d_head);
      const bool norm = normalization == Normalization::LN;
      const Tensor tokens = torch::tensor({0, 1, 2, 4, 5, 6, 7}, torch::kInt64);
      const auto observation = observed.observe();
      Tensor W_U = exact(observed, "unembed.W_U");
      if (norm) W_U = torch::diag(exact(observed, "ln_final.w")).matmul(W_U);
      for (int64_t layer = 0; layer < 2; ++layer) {
        const Tensor scores =
            copying_scores(head_weights(observation, layer), token_embedding(observation, tokens),
                           token_unembedding(observation, tokens));
        for (int64_t head = 0; head < 2; ++head) {
          const Tensor full =
              exact(observed, "embed.W_E").matmul(ov(observed, layer, head, norm)).matmul(W_U);
          const Tensor eigenvalues =
              torch::linalg_eigvals(full.index_select(0, tokens).index_select(1, tokens));
          // Eigenvalues that should be 0 are so to the square root of the precision, or better.
          EXPECT_NEAR(scores[head].item<double>(),
                      torch::real(eigenvalues).sum().item<double>() / eigenvalues.abs().sum().item<double>(),
                      1e-7);
        }
      }
    }
}

TEST(Copying, IsOneForACopyMinusOneForItsOppositeAndZeroForNothing) {
  for (const double height : {20.0, -3.0}) {
    InductionCircuit circuit;
    circuit.height = height;
    Observed observed(circuit.spec(), circuit.make());
    const auto observation = observed.observe();
    const Tensor tokens = torch::arange(circuit.vocabulary, torch::kInt64);
    const auto W_E = token_embedding(observation, tokens), W_U = token_unembedding(observation, tokens);
    const Tensor first = copying_scores(head_weights(observation, 0), W_E, W_U);
    const Tensor second = copying_scores(head_weights(observation, 1), W_E, W_U);
    EXPECT_NEAR(second[0].item<double>(), height > 0 ? 1 : -1, rounding);
    EXPECT_EQ(first.abs().max().item<double>(), 0);
    EXPECT_EQ(second[1].item<double>(), 0);
  }
}

TEST(Circuits, AreThoseOfTheFullMatrices) {
  for (const auto normalization : {Normalization::none, Normalization::LN}) {
    auto observed = random_transformer(normalization, 3);
    const bool norm = normalization == Normalization::LN;
    const auto observation = observed.observe();
    const Tensor tokens = torch::tensor({0, 2, 5}, torch::kInt64);
    const auto W_E = token_embedding(observation, tokens), W_U = token_unembedding(observation, tokens);
    const auto about_mean = [](const Tensor& x) { return x - x.mean(1, true); };
    for (int64_t from = 0; from < 2; ++from)
      for (int64_t to = 0; to < 2; ++to) {
        const Tensor A = ov(observed, 0, from, norm), B = qk(observed, 1, to, norm);
        const Tensor scores = W_E.matmul(B).matmul(W_E.matmul(A).t()) / std::sqrt(3.0);
        EXPECT_TRUE(torch::allclose(
            k_composed_qk(head_weights(observation, 0), from, head_weights(observation, 1), to, W_E),
            about_mean(scores), 0, rounding));
        EXPECT_TRUE(torch::allclose(ov_circuit(head_weights(observation, 0), from, W_E, W_U),
                                    about_mean(W_E.matmul(A).matmul(W_U)), 0, rounding));
      }
  }
}

TEST(Composition, IsThatOfTheFullMatrices) {
  for (const auto normalization : {Normalization::none, Normalization::LN})
    for (const int64_t d_head : {3, 12}) {  // narrower than the residual stream, and wider
      auto observed = random_transformer(normalization, d_head);
      const bool norm = normalization == Normalization::LN;
      const auto observation = observed.observe();
      const Composition all = composition(head_weights(observation, 0), head_weights(observation, 1));
      for (int64_t from = 0; from < 2; ++from)
        for (int64_t to = 0; to < 2; ++to) {
          const Tensor A = ov(observed, 0, from, norm), B = qk(observed, 1, to, norm);
          EXPECT_NEAR(all.q[from][to].item<double>(), product_share(A, B), rounding);
          EXPECT_NEAR(all.k[from][to].item<double>(), product_share(A, B.t()), rounding);
          EXPECT_NEAR(all.v[from][to].item<double>(), product_share(A, ov(observed, 1, to, norm)), rounding);
        }
    }
}

TEST(Composition, OfTheCircuitIsByKeys) {
  const InductionCircuit circuit;
  Observed observed(circuit.spec(), circuit.make());
  const auto observation = observed.observe();
  const Composition all = composition(head_weights(observation, 0), head_weights(observation, 1));
  // With n tokens, BOS included: A copies n directions; B matches n, and at BOS each of n_ctx positions by
  // half as much: sqrt(n) / (sqrt(n) sqrt(n + n_ctx / 4)).
  const double expected = 1 / std::sqrt(double(circuit.d_vocab()) + double(circuit.n_ctx) / 4);
  EXPECT_NEAR(all.k[0][0].item<double>(), expected, 1e-7);  // sharpness is rounded to float32
  const Baseline chance = random_composition(circuit.d_model(), circuit.d_head(), 0);
  EXPECT_GT(expected, chance.mean + 5 * chance.deviation);
  EXPECT_EQ(all.q.abs().max().item<double>(), 0);
  EXPECT_EQ(all.v.abs().max().item<double>(), 0);
  EXPECT_EQ(all.k[1].abs().max().item<double>(), 0);  // head 0.1 writes nothing
  EXPECT_EQ(all.k[0][1].item<double>(), 0);           // head 1.1 reads nothing
}

TEST(Composition, OfStrangersHasMeanSquareOneOverTheWidth) {
  for (const auto& [d_model, d_head] :
       std::vector<std::pair<int64_t, int64_t>>{{64, 16}, {128, 32}, {32, 32}}) {
    const Baseline chance = random_composition(d_model, d_head, 3);
    const double root_mean_square = std::sqrt(std::pow(chance.mean, 2) + std::pow(chance.deviation, 2));
    // Five standard errors; 8 heads against 8, of which at least 8 pairs have nothing in common.
    EXPECT_NEAR(root_mean_square, 1 / std::sqrt(double(d_model)), 5 * chance.deviation / std::sqrt(8.0));
    EXPECT_GT(chance.deviation, 0);
    EXPECT_EQ(chance.mean, random_composition(d_model, d_head, 3).mean);
    EXPECT_NE(chance.mean, random_composition(d_model, d_head, 4).mean);
  }
}

}  // namespace
}  // namespace induction_heads
