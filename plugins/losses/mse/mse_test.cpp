#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/testing/plugin_under_test.h>

namespace orrery::testing {
namespace {

struct Case {
  torch::Tensor logits = torch::randn({4, 2, 5}, make_generator(1), torch::kFloat64) * 3;
  Batch batch = {.labels = torch::randint(5, {4, 2}, make_generator(2), torch::kInt64)};
};

// Entry by entry.
void expect_formula(const std::string& parameters, double k, double M, double share) {
  const Case given;
  const torch::Tensor each = make_loss(parameters)->each(given.logits, given.batch);
  ASSERT_EQ(each.sizes(), (std::vector<int64_t>{4, 2}));
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 2; ++j) {
      double sum = 0;
      for (int64_t c = 0; c < 5; ++c) {
        const double z = given.logits[i][j][c].item<double>();
        sum += c == given.batch.labels[i][j].item<int64_t>() ? k * (z - M) * (z - M) : z * z;
      }
      EXPECT_NEAR(each[i][j].item<double>(), share * sum, 1e-12);
    }
}

TEST(Mse, IsTheMeanSquaredErrorByDefault) { expect_formula("{}", 1, 1, 1.0 / 5); }

TEST(Mse, IsTheFormulaOfHuiAndBelkin) {
  expect_formula(R"({"k": 15.0, "M": 30.0})", 15, 30, 1.0 / 5);
  expect_formula(R"({"k": 2.0, "M": 10.0, "over_classes": "sum"})", 2, 10, 1);
}

TEST(Mse, IsZeroAtItsTargetsOnly) {
  const Batch batch{.labels = torch::ones({1, 1}, torch::kInt64)};
  torch::Tensor logits = torch::zeros({1, 1, 3}, torch::kFloat64);
  logits[0][0][1] = 7;
  EXPECT_EQ(make_loss(R"({"k": 3.0, "M": 7.0})")->each(logits, batch).item<double>(), 0);
  EXPECT_EQ(make_loss(R"({"k": 3.0, "M": 1.0})")->each(logits, batch).item<double>(), 36);
}

TEST(Mse, RefusesWhatTeachesNothing) {
  EXPECT_THROW(make_loss(R"({"k": 0.0})"), UsageError);
  EXPECT_THROW(make_loss(R"({"k": -1.0})"), Error);
  EXPECT_THROW(make_loss(R"({"M": 0.0})"), UsageError);
  EXPECT_NE(make_loss()->refusal({.d_vocab_out = 1}), "");
  EXPECT_EQ(make_loss()->refusal({.d_vocab_out = 2}), "");
}

}  // namespace
}  // namespace orrery::testing
