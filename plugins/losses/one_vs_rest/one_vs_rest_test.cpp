#include <gtest/gtest.h>
#include <orrery/testing/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

TEST(OneVsRest, IsItsFormula) {
  const torch::Tensor logits = torch::randn({4, 2, 5}, make_generator(1), torch::kFloat64) * 3;
  const Batch batch{.labels = torch::randint(5, {4, 2}, make_generator(2), torch::kInt64)};
  const torch::Tensor sum = make_loss()->each(logits, batch),
                      mean = make_loss(R"({"over_classes": "mean"})")->each(logits, batch);
  ASSERT_EQ(sum.sizes(), (std::vector<int64_t>{4, 2}));
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 2; ++j) {
      double expected = 0;
      for (int64_t c = 0; c < 5; ++c) {
        const double y = c == batch.labels[i][j].item<int64_t>() ? 1 : -1;
        expected += std::log(1 + std::exp(-y * logits[i][j][c].item<double>()));
      }
      EXPECT_NEAR(sum[i][j].item<double>(), expected, 1e-12);
      EXPECT_NEAR(mean[i][j].item<double>(), expected / 5, 1e-12);
    }
}

// What a softmax cannot see: the same number added to all logits.
TEST(OneVsRest, SeesWhatIsCommonToAllLogits) {
  const Batch batch{.labels = torch::zeros({1, 1}, torch::kInt64)};
  const torch::Tensor logits = torch::zeros({1, 1, 3}, torch::kFloat64);
  EXPECT_NEAR(make_loss()->each(logits, batch).item<double>(), 3 * std::log(2.0), 1e-12);
  EXPECT_NEAR(make_loss()->each(logits - 5, batch).item<double>(),
              std::log(1 + std::exp(5.0)) + 2 * std::log(1 + std::exp(-5.0)), 1e-12);
}

TEST(OneVsRest, NeedsClasses) {
  EXPECT_NE(make_loss()->refusal({.d_vocab_out = 1}), "");
  EXPECT_EQ(make_loss()->refusal({.d_vocab_out = 2}), "");
}

}  // namespace
}  // namespace orrery::testing
