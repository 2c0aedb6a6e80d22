#include <gtest/gtest.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>

#include "tests/support/update_by_hand.h"

namespace orrery::testing {
namespace {

struct Case {
  torch::Tensor a = torch::randn({2, 3}, make_generator(1), torch::kFloat64) * 4,
                b = torch::randn({4}, make_generator(2), torch::kFloat64);

  // Both gradients, one after the other, before and after.
  std::vector<double> before() const { return numbers(torch::cat({a.reshape({-1}), b})); }
  std::vector<double> after(const std::string& parameters) const {
    UpdateByHand update(parameters);
    update.add("a", torch::zeros_like(a));
    update.add("b", torch::zeros_like(b));
    const auto out = update.step({a, b});
    return numbers(torch::cat({out[0].reshape({-1}), out[1]}));
  }
};

double norm(const std::vector<double>& all) {
  double squares = 0;
  for (const double entry : all) squares += entry * entry;
  return std::sqrt(squares);
}

TEST(Clip, ScalesAllGradientsToTheNorm) {
  const Case given;
  const auto before = given.before(), after = given.after(R"({"norm": 0.5})");
  ASSERT_GT(norm(before), 0.5);
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_NEAR(after[i], before[i] * 0.5 / (norm(before) + 1e-6), 1e-14);
  EXPECT_NEAR(norm(given.after("{}")), 1, 1e-5);
}

TEST(Clip, LeavesSmallGradientsAlone) {
  const Case given;
  EXPECT_EQ(given.after(R"({"norm": 1000})"), given.before());
  EXPECT_EQ(given.after(R"({"norm": 0, "value": 1000})"), given.before());
}

TEST(Clip, LimitsEntriesAndThenTheNorm) {
  const Case given;
  const auto before = given.before(), by_value = given.after(R"({"norm": 0, "value": 0.3})"),
             by_both = given.after(R"({"norm": 0.2, "value": 0.3})");
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(by_value[i], std::clamp(before[i], -0.3, 0.3));
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_NEAR(by_both[i], by_value[i] * 0.2 / (norm(by_value) + 1e-6), 1e-14);
}

TEST(Clip, RefusesToDoNothing) {
  EXPECT_THROW(make_update(R"({"norm": 0})"), UsageError);
  EXPECT_THROW(make_update(R"({"norm": -1})"), Error);
}

}  // namespace
}  // namespace orrery::testing
