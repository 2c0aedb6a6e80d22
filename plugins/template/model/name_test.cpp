#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/testing/plugin_under_test.h>

#include <algorithm>

namespace orrery::testing {
namespace {

const TaskSpec shapes{.d_vocab = 5, .d_vocab_out = 3, .n_ctx = 4, .read_out = {3}};
const std::string small = R"({"d_model": 2, "d_mlp": 4})";

torch::Tensor one_input(const std::vector<int64_t>& tokens) {
  return torch::tensor(tokens, torch::kInt64).unsqueeze(0);
}

// Entry by entry, in double precision.
double logit_by_hand(const Model& model, const std::vector<int64_t>& tokens, int64_t c) {
  const auto entry = [&](const char* name, std::initializer_list<int64_t> at) {
    torch::Tensor w = model.weight(name);
    for (const int64_t i : at) w = w[i];
    return w.item<double>();
  };
  double logit = entry("mlp.b_out", {c});
  for (int64_t j = 0; j < 4; ++j) {
    double pre = entry("mlp.b_in", {j});
    for (const int64_t token : tokens)
      for (int64_t i = 0; i < 2; ++i) pre += entry("embed.W_E", {token, i}) * entry("mlp.W_in", {i, j});
    logit += std::max(pre, 0.0) * entry("mlp.W_out", {j, c});
  }
  return logit;
}

TEST(@Name@, IsItsFormula) {
  const auto model = make_model(shapes, small);
  const std::vector<int64_t> tokens = {1, 4, 0, 1};
  const auto logits = model->forward(one_input(tokens));
  ASSERT_EQ(logits.sizes(), (std::vector<int64_t>{1, 4, 3}));
  for (int64_t t = 0; t < 4; ++t)
    for (int64_t c = 0; c < 3; ++c)
      EXPECT_NEAR(logits[0][t][c].item<double>(),
                  logit_by_hand(*model, {tokens.begin(), tokens.begin() + t + 1}, c), 1e-5);
}

TEST(@Name@, DoesNotSeeTheOrder) {
  const auto model = make_model(shapes, small);
  const auto last = [&](const std::vector<int64_t>& tokens) {
    return model->forward(one_input(tokens)).select(1, 3);
  };
  EXPECT_TRUE(torch::allclose(last({1, 4, 0, 2}), last({2, 0, 4, 1}), 1e-5, 1e-6));
  EXPECT_FALSE(torch::allclose(last({1, 4, 0, 2}), last({1, 4, 0, 3}), 0, 1e-3));
}

// With the bag at 0, only the biases are left.
TEST(@Name@, GoesOnWithWhatAHookReturns) {
  const auto model = make_model(shapes, small);
  const torch::NoGradGuard no_grad;
  model->weight("mlp.b_out").copy_(torch::tensor({1.0, 2.0, 3.0}));
  const auto logits = run_with_hooks(*model, one_input({1, 4, 0, 2}),
                                     {{"hook_bag", [](const auto& bag) { return torch::zeros_like(bag); }}});
  EXPECT_TRUE(torch::equal(logits[0][3], model->weight("mlp.b_out")));
}

TEST(@Name@, TheSeedDecidesTheWeights) {
  const auto W_E = [](uint64_t seed) { return make_model(shapes, small, seed)->weight("embed.W_E"); };
  EXPECT_TRUE(torch::equal(W_E(1), W_E(1)));
  EXPECT_FALSE(torch::equal(W_E(1), W_E(2)));
  EXPECT_THROW(make_model(shapes, R"({"d_mlp": 0})"), Error);
}

}  // namespace
}  // namespace orrery::testing
