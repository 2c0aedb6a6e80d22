#include <gtest/gtest.h>
#include <orrery/hooks.h>
#include <orrery/testing/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

const TaskSpec shapes{.d_vocab = 5, .d_vocab_out = 3, .n_ctx = 4, .read_out = {3}};
const std::string small = R"({"d_embed": 3, "d_hidden": 4})";

// Entry by entry, in double precision.
std::vector<double> logits_by_hand(const Model& model, const std::vector<int64_t>& tokens) {
  const auto w = [&](const std::string& name) { return model.weight(name).detach().to(torch::kFloat64); };
  const torch::Tensor W_E = w("embed.W_E"), W_ih = w("rnn.W_ih"), W_hh = w("rnn.W_hh"), b_h = w("rnn.b_h"),
                      W_U = w("unembed.W_U"), b_U = w("unembed.b_U");
  std::vector<double> h(4, 0), out(3);
  for (const int64_t token : tokens) {
    std::vector<double> next(4);
    for (int64_t j = 0; j < 4; ++j) {
      double pre = b_h[j].item<double>();
      for (int64_t i = 0; i < 3; ++i) pre += W_E[token][i].item<double>() * W_ih[i][j].item<double>();
      for (int64_t i = 0; i < 4; ++i) pre += h[i] * W_hh[i][j].item<double>();
      next[j] = std::tanh(pre);
    }
    h = next;
  }
  for (int64_t c = 0; c < 3; ++c) {
    out[c] = b_U[c].item<double>();
    for (int64_t j = 0; j < 4; ++j) out[c] += h[j] * W_U[j][c].item<double>();
  }
  return out;
}

TEST(Rnn, IsItsFormula) {
  const auto model = make_model(shapes, small);
  const std::vector<int64_t> tokens = {1, 4, 0, 2};
  const torch::Tensor logits = model->forward(torch::tensor(tokens, torch::kInt64).unsqueeze(0));
  for (size_t n = 1; n <= 4; ++n) {
    const auto expected = logits_by_hand(*model, {tokens.begin(), tokens.begin() + static_cast<int64_t>(n)});
    for (int64_t c = 0; c < 3; ++c)
      EXPECT_NEAR(logits[0][static_cast<int64_t>(n) - 1][c].item<double>(), expected[c], 1e-5);
  }
}

TEST(Rnn, RemembersTheFirstToken) {
  const auto model = make_model(shapes, small);
  const torch::Tensor a = model->forward(torch::tensor({{1, 4, 0, 2}}, torch::kInt64)),
                      b = model->forward(torch::tensor({{3, 4, 0, 2}}, torch::kInt64));
  EXPECT_FALSE(torch::allclose(a.select(1, 3), b.select(1, 3), 0, 1e-6));
}

}  // namespace
}  // namespace orrery::testing
