#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/testing/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

TEST(LabelSmoothing, IsItsFormula) {
  const torch::Tensor logits = torch::randn({4, 2, 5}, make_generator(1), torch::kFloat64) * 3;
  const Batch batch{.labels = torch::randint(5, {4, 2}, make_generator(2), torch::kInt64)};
  for (const double s : {0.0, 0.1, 0.6}) {
    const torch::Tensor each = make_loss("{\"smoothing\": " + std::to_string(s) + "}")->each(logits, batch);
    ASSERT_EQ(each.sizes(), (std::vector<int64_t>{4, 2}));
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t j = 0; j < 2; ++j) {
        double sum = 0, expected = 0;
        for (int64_t c = 0; c < 5; ++c) sum += std::exp(logits[i][j][c].item<double>());
        for (int64_t c = 0; c < 5; ++c) {
          const double q = (c == batch.labels[i][j].item<int64_t>() ? 1 - s : 0) + s / 5;
          expected -= q * std::log(std::exp(logits[i][j][c].item<double>()) / sum);
        }
        EXPECT_NEAR(each[i][j].item<double>(), expected, 1e-12);
      }
  }
}

// At the minimum softmax(z) is q, and the loss its entropy.
TEST(LabelSmoothing, HasItsMinimumAtFiniteLogits) {
  const double s = 0.2, gap = std::log(1 + 4 * (1 - s) / s);
  torch::Tensor logits = torch::zeros({1, 1, 4}, torch::kFloat64);
  logits[0][0][2] = gap;
  logits.requires_grad_();
  const Batch batch{.labels = torch::full({1, 1}, 2, torch::kInt64)};
  const torch::Tensor loss = make_loss(R"({"smoothing": 0.2})")->each(logits, batch).sum();
  loss.backward();
  EXPECT_LT(logits.grad().abs().max().item<double>(), 1e-15);
  EXPECT_NEAR(loss.item<double>(), -(0.85 * std::log(0.85) + 3 * 0.05 * std::log(0.05)), 1e-12);
}

TEST(LabelSmoothing, RefusesWhatCannotBe) {
  EXPECT_THROW(make_loss(R"({"smoothing": 1.0})"), UsageError);
  EXPECT_THROW(make_loss(R"({"smoothing": -0.1})"), Error);
  EXPECT_NE(make_loss()->refusal({.d_vocab_out = 1}), "");
  EXPECT_NE(make_loss()->refusal({.d_vocab_out = 3, .label_smoothing = 0.1}), "");
  EXPECT_EQ(make_loss()->refusal({.d_vocab_out = 3}), "");
}

}  // namespace
}  // namespace orrery::testing
