#include <gtest/gtest.h>
#include <orrery/error.h>

#include <cmath>
#include <limits>

#include "tests/support/update_by_hand.h"

namespace orrery::testing {
namespace {

// loss = sum_i w_i^4 / 4, so that its gradient, w_i^3, depends on where it is taken.
std::vector<double> slope(const std::vector<double>& w) {
  std::vector<double> g;
  for (const double entry : w) g.push_back(entry * entry * entry);
  return g;
}

// The algorithm over several steps of gradient descent; the test does what the chain does around the update.
TEST(Sam, IsTheAlgorithmOfThePaper) {
  const torch::Tensor a = torch::randn({2, 2}, make_generator(1), torch::kFloat64),
                      b = torch::randn({3}, make_generator(2), torch::kFloat64);
  std::vector<double> w = numbers(torch::cat({a.reshape({-1}), b}));
  UpdateByHand update(R"({"rho": 0.2})");
  update.add("a", a);
  update.add("b", b);
  const double lr = 0.1;
  for (int step = 0; step < 5; ++step) {
    const torch::Tensor kept_a = a.clone(), kept_b = b.clone();
    int passes = 0;
    const auto out = update.step({a.pow(3), b.pow(3)}, [&](std::vector<torch::Tensor>& gradients) {
      ++passes;
      gradients[0].copy_(a.pow(3));
      gradients[1].copy_(b.pow(3));
      return 1.0;
    });
    EXPECT_EQ(passes, 1);
    a.copy_(kept_a - lr * out[0]);
    b.copy_(kept_b - lr * out[1]);

    const auto g = slope(w);
    double squares = 0;
    for (const double entry : g) squares += entry * entry;
    std::vector<double> up = w;
    for (size_t i = 0; i < w.size(); ++i) up[i] += 0.2 * g[i] / std::sqrt(squares);
    const auto there = slope(up);
    for (size_t i = 0; i < w.size(); ++i) w[i] -= lr * there[i];
    const auto own = numbers(torch::cat({a.reshape({-1}), b}));
    for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(own[i], w[i], 1e-11) << step;
  }
}

TEST(Sam, SaysThatItPerturbs) {
  EXPECT_TRUE(make_update()->perturbs_weights());
  EXPECT_EQ(make_update()->stage(), Update::Stage::gradients);
}

TEST(Sam, RefusesWhatGivesNoGradient) {
  EXPECT_THROW(make_update(R"({"rho": 0})"), UsageError);
  UpdateByHand update;
  update.add("w", torch::ones({1}, torch::kFloat64));
  EXPECT_THROW(update.step({torch::ones({1}, torch::kFloat64)},
                           [](auto&) { return std::numeric_limits<double>::infinity(); }),
               Error);
}

}  // namespace
}  // namespace orrery::testing
