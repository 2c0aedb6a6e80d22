#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/testing/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

// Two examples with two labels each, among five classes.
struct Example {
  torch::Tensor logits = torch::randn({2, 2, 5}, make_generator(1), torch::kFloat64);
  Batch batch{.labels = torch::tensor({{0, 4}, {2, 2}}, torch::kInt64)};
};

// What the softmax gives to the label, class by class.
double share(const Example& of, int64_t i, int64_t j) {
  double sum = 0;
  for (int64_t c = 0; c < 5; ++c) sum += std::exp(of.logits[i][j][c].item<double>());
  return std::exp(of.logits[i][j][of.batch.labels[i][j].item<int64_t>()].item<double>()) / sum;
}

TEST(@Name@, IsItsFormula) {
  const Example of;
  for (const double gamma : {0.0, 0.5, 2.0}) {
    const auto each = make_loss("{\"gamma\": " + std::to_string(gamma) + "}")->each(of.logits, of.batch);
    ASSERT_EQ(each.sizes(), (std::vector<int64_t>{2, 2}));
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t j = 0; j < 2; ++j) {
        const double p = share(of, i, j);
        EXPECT_NEAR(each[i][j].item<double>(), -std::pow(1 - p, gamma) * std::log(p), 1e-12);
      }
  }
}

// p = 0.9 of two classes: the cross-entropy, times 0.1^2.
TEST(@Name@, CountsEasyExamplesAHundredth) {
  const auto logits = torch::tensor({{{std::log(9.0), 0.0}}}, torch::kFloat64);
  const Batch batch{.labels = torch::zeros({1, 1}, torch::kInt64)};
  EXPECT_NEAR(make_loss()->each(logits, batch).item<double>(), -0.01 * std::log(0.9), 1e-15);
}

// Far out, 1 - p is 0 in floating point.
TEST(@Name@, HasAFiniteGradientWhereAllIsRight) {
  const auto logits = torch::tensor({{{200.0, 0.0}}}, torch::kFloat64).requires_grad_();
  const Batch batch{.labels = torch::zeros({1, 1}, torch::kInt64)};
  for (const char* gamma : {R"({"gamma": 0.5})", R"({"gamma": 2})"}) {
    make_loss(gamma)->each(logits, batch).sum().backward();
    EXPECT_TRUE(logits.grad().isfinite().all().item<bool>()) << gamma;
  }
}

TEST(@Name@, RefusesWhatCannotBe) {
  EXPECT_NE(make_loss()->refusal({.d_vocab_out = 1}), "");
  EXPECT_EQ(make_loss()->refusal({.d_vocab_out = 2}), "");
  EXPECT_THROW(make_loss(R"({"gamma": -1})"), Error);
}

}  // namespace
}  // namespace orrery::testing
