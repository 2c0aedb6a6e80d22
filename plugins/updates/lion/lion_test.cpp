#include <gtest/gtest.h>
#include <orrery/error.h>

#include <cmath>

#include "tests/support/update_by_hand.h"

namespace orrery::testing {
namespace {

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

void expect_as_reference(const std::string& parameters, double beta1, double beta2, double decay) {
  const torch::Generator rng = make_generator(1);
  const torch::Tensor start = torch::randn({3, 4}, rng, torch::kFloat64);
  std::vector<double> w = numbers(start), m(12, 0);
  UpdateByHand update(parameters);
  update.add("w", start.clone());
  update.weight_decay = decay;
  for (int step = 0; step < 8; ++step) {
    update.lr = 0.01 * (step + 1);  // as a schedule would have it
    const torch::Tensor gradient = torch::randn({3, 4}, rng, torch::kFloat64);
    update.step({gradient});
    const auto g = numbers(gradient), own = numbers(update.value(0));
    for (size_t i = 0; i < 12; ++i) {
      w[i] -= update.lr * (sign(beta1 * m[i] + (1 - beta1) * g[i]) + decay * w[i]);
      m[i] = beta2 * m[i] + (1 - beta2) * g[i];
      EXPECT_NEAR(own[i], w[i], 1e-12) << step;
    }
  }
}

TEST(Lion, IsTheAlgorithmOfThePaper) {
  expect_as_reference("{}", 0.9, 0.99, 0);
  expect_as_reference("{}", 0.9, 0.99, 3);
  expect_as_reference(R"({"beta1": 0.5, "beta2": 0.7})", 0.5, 0.7, 0.1);
  expect_as_reference(R"({"beta1": 1.0, "beta2": 0.0})", 1, 0, 0.1);
}

TEST(Lion, StandsStillWithoutAGradient) {
  UpdateByHand update;
  update.add("w", torch::ones({2}, torch::kFloat64));
  update.lr = 0.1;
  update.step({torch::zeros({2}, torch::kFloat64)});
  EXPECT_EQ(numbers(update.value(0)), (std::vector<double>{1, 1}));
}

TEST(Lion, RefusesAMomentumThatNeverMoves) {
  EXPECT_THROW(make_update(R"({"beta2": 1.0})"), UsageError);
  EXPECT_THROW(make_update(R"({"beta1": 1.5})"), Error);
}

}  // namespace
}  // namespace orrery::testing
