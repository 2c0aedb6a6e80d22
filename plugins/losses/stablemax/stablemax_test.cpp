#include <gtest/gtest.h>
#include <orrery/testing/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

double s(double z) { return z >= 0 ? z + 1 : 1 / (1 - z); }

TEST(Stablemax, IsItsFormula) {
  const torch::Tensor logits = torch::randn({4, 2, 5}, make_generator(1), torch::kFloat64) * 3;
  const Batch batch{.labels = torch::randint(5, {4, 2}, make_generator(2), torch::kInt64)};
  const torch::Tensor each = make_loss()->each(logits, batch);
  ASSERT_EQ(each.sizes(), (std::vector<int64_t>{4, 2}));
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 2; ++j) {
      double sum = 0;
      for (int64_t c = 0; c < 5; ++c) sum += s(logits[i][j][c].item<double>());
      const double own = s(logits[i][j][batch.labels[i][j].item<int64_t>()].item<double>());
      EXPECT_NEAR(each[i][j].item<double>(), -std::log(own / sum), 1e-12);
    }
}

// What it is for: a cross-entropy in float32 has no gradient where the right logit is far above the others.
TEST(Stablemax, HasAGradientWhereSoftmaxHasNone) {
  torch::Tensor logits = torch::zeros({1, 1, 3}, torch::kFloat32);
  logits[0][0][1] = 200;
  const Batch batch{.labels = torch::ones({1, 1}, torch::kInt64)};
  const auto slope = [&](auto&& loss) {
    const torch::Tensor at = logits.clone().requires_grad_();
    loss(at).sum().backward();
    return at.grad()[0][0][1].template item<double>();
  };
  EXPECT_EQ(slope([](const torch::Tensor& z) { return -torch::log_softmax(z, -1).select(-1, 1); }), 0);
  // d/dz of log(s + 2) - log(s) with s = z + 1 = 201.
  EXPECT_NEAR(slope([&](const torch::Tensor& z) { return make_loss()->each(z, batch); }),
              1 / 203.0 - 1 / 201.0, 1e-9);
}

TEST(Stablemax, NeedsClasses) {
  EXPECT_NE(make_loss()->refusal({.d_vocab_out = 1}), "");
  EXPECT_EQ(make_loss()->refusal({.d_vocab_out = 2}), "");
}

}  // namespace
}  // namespace orrery::testing
