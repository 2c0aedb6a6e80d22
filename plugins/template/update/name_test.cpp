#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/testing/plugin_under_test.h>

namespace orrery::testing {
namespace {

using Numbers = std::vector<double>;

// Where a weight with a single entry is after each step, from 0, with lr = 0.1.
Numbers path(const std::string& json, const Numbers& gradients, double decay = 0, double start = 0) {
  const auto update = make_update(json);
  const auto value = torch::full({1}, start, torch::kFloat64);
  UpdateState state;
  Numbers at;
  for (const double gradient : gradients) {
    UpdateStep step;
    step.step = static_cast<int64_t>(at.size());
    step.kept = &state;
    step.weights.emplace_back("w", value, torch::full({1}, gradient, torch::kFloat64), state);
    step.weights[0].lr = 0.1;
    step.weights[0].weight_decay = decay;
    update->step(step);
    at.push_back(value.item<double>());
  }
  return at;
}

void expect_path(const Numbers& seen, const Numbers& expected) {
  ASSERT_EQ(seen.size(), expected.size());
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_NEAR(seen[i], expected[i], 1e-12) << "step " << i;
}

TEST(@Name@, MovesByTheLearningRateWhateverTheGradient) {
  expect_path(path(R"({"beta": 0})", {1e-6, 1e6, -3, 0}), {-0.1, -0.2, -0.1, -0.1});
}

// m is 0.5, then 0.25 - 0.2 = 0.05, then 0.025 - 0.2 = -0.175.
TEST(@Name@, FollowsTheSignOfTheMomentum) {
  expect_path(path(R"({"beta": 0.5})", {1, -0.4, -0.4}), {-0.1, -0.2, -0.1});
}

TEST(@Name@, DecaysWeights) { expect_path(path("{}", {0, 0}, /*decay=*/1, /*start=*/2), {1.8, 1.62}); }

TEST(@Name@, IsAnOptimizer) {
  EXPECT_EQ(make_update()->stage(), Update::Stage::optimizer);
  EXPECT_THROW(make_update(R"({"beta": 1.5})"), Error);
}

}  // namespace
}  // namespace orrery::testing
