#include <gtest/gtest.h>
#include <orrery/error.h>

#include <cmath>

#include "tests/support/update_by_hand.h"

namespace orrery::testing {
namespace {

double norm(const std::vector<double>& all) {
  double squares = 0;
  for (const double entry : all) squares += entry * entry;
  return std::sqrt(squares);
}

// Two weights that an optimiser moves at random between the steps.
struct Case {
  torch::Generator rng = make_generator(1);
  torch::Tensor a = torch::randn({2, 3}, rng, torch::kFloat64), b = torch::randn({4}, rng, torch::kFloat64);
  UpdateByHand update;

  explicit Case(const std::string& parameters) : update(parameters) {
    update.add("a", a);
    update.add("b", b);
  }
  void move() {
    for (torch::Tensor* weight : {&a, &b})
      weight->add_(torch::randn(weight->sizes(), rng, torch::kFloat64), 0.3);
  }
  void clamp() { update.step({torch::zeros_like(a), torch::zeros_like(b)}); }
  std::vector<double> all() const { return numbers(torch::cat({a.reshape({-1}), b})); }
};

TEST(NormClamp, ScalesAllWeightsToTheNormAtTheStart) {
  Case given("{}");
  const double start = norm(given.all());
  const auto untouched = given.all();
  given.clamp();
  for (size_t i = 0; i < untouched.size(); ++i) EXPECT_NEAR(given.all()[i], untouched[i], 1e-15);
  for (int step = 0; step < 5; ++step) {
    given.move();
    const auto moved = given.all();
    given.clamp();
    const auto now = given.all();
    for (size_t i = 0; i < now.size(); ++i) EXPECT_NEAR(now[i], moved[i] * start / norm(moved), 1e-13);
    EXPECT_NEAR(norm(now), start, 1e-13);
  }
}

TEST(NormClamp, KeepsTheNormOfEachWeight) {
  Case given(R"({"over": "weight"})");
  const double of_a = norm(numbers(given.a)), of_b = norm(numbers(given.b));
  given.clamp();
  for (int step = 0; step < 5; ++step) {
    given.move();
    given.clamp();
    EXPECT_NEAR(norm(numbers(given.a)), of_a, 1e-13);
    EXPECT_NEAR(norm(numbers(given.b)), of_b, 1e-13);
  }
}

TEST(NormClamp, TakesANormOfTheConfig) {
  Case all(R"({"norm": 12.0})"), each(R"({"norm": 12.0, "over": "weight"})");
  for (int step = 0; step < 2; ++step) {
    all.clamp();
    each.clamp();
    EXPECT_NEAR(norm(all.all()), 12, 1e-12);
    EXPECT_NEAR(norm(numbers(each.a)), 12, 1e-12);
    EXPECT_NEAR(norm(numbers(each.b)), 12, 1e-12);
  }
}

TEST(NormClamp, LeavesWhatBeganAtZero) {
  UpdateByHand update(R"({"over": "weight"})");
  const torch::Tensor bias = torch::zeros({2}, torch::kFloat64);
  update.add("b", bias);
  update.step({bias});
  EXPECT_EQ(numbers(bias), (std::vector<double>{0, 0}));
  bias.fill_(3);
  update.step({bias});
  EXPECT_EQ(numbers(bias), (std::vector<double>{3, 3}));
}

TEST(NormClamp, RefusesANegativeNorm) { EXPECT_THROW(make_update(R"({"norm": -1})"), Error); }

}  // namespace
}  // namespace orrery::testing
