#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/update_by_hand.h"

namespace orrery::testing {
namespace {

using Numbers = std::vector<double>;

double dot(const Numbers& a, const Numbers& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// The formula, entry by entry.
Numbers projected(const Numbers& w, const Numbers& g, bool rescale) {
  const double share = dot(w, g) / dot(w, w);
  Numbers out(g.size());
  for (size_t i = 0; i < g.size(); ++i) out[i] = g[i] - share * w[i];
  const double scale = rescale ? std::sqrt(dot(g, g) / dot(out, out)) : 1;
  for (double& entry : out) entry *= scale;
  return out;
}

struct Case {
  torch::Tensor a = torch::randn({2, 3}, make_generator(1), torch::kFloat64),
                b = torch::randn({4}, make_generator(2), torch::kFloat64),
                of_a = torch::randn({2, 3}, make_generator(3), torch::kFloat64),
                of_b = torch::randn({4}, make_generator(4), torch::kFloat64);

  std::vector<torch::Tensor> after(const std::string& parameters) const {
    UpdateByHand update(parameters);
    update.add("a", a);
    update.add("b", b);
    return update.step({of_a, of_b});
  }
};

void expect_near(const Numbers& a, const Numbers& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12);
}

TEST(PerpGrad, IsItsFormulaForEachWeight) {
  const Case given;
  for (const bool rescale : {false, true}) {
    const auto out = given.after(rescale ? R"({"rescale": true})" : "{}");
    expect_near(numbers(out[0]), projected(numbers(given.a), numbers(given.of_a), rescale));
    expect_near(numbers(out[1]), projected(numbers(given.b), numbers(given.of_b), rescale));
    EXPECT_NEAR(dot(numbers(out[0]), numbers(given.a)), 0, 1e-12);
  }
}

TEST(PerpGrad, IsItsFormulaForAllWeightsAsOneVector) {
  const Case given;
  const auto joined = [](const torch::Tensor& x, const torch::Tensor& y) {
    return numbers(torch::cat({x.reshape({-1}), y}));
  };
  for (const bool rescale : {false, true}) {
    const auto out = given.after(rescale ? R"({"over": "all", "rescale": true})" : R"({"over": "all"})");
    expect_near(joined(out[0], out[1]),
                projected(joined(given.a, given.b), joined(given.of_a, given.of_b), rescale));
  }
}

TEST(PerpGrad, LeavesAGradientThatIsOrthogonal) {
  UpdateByHand update(R"({"rescale": true})");
  update.add("w", torch::tensor({3.0, 4.0}, torch::kFloat64));
  expect_near(numbers(update.step({torch::tensor({-8.0, 6.0}, torch::kFloat64)})[0]), {-8, 6});
}

TEST(PerpGrad, RemovesAGradientAlongTheWeight) {
  for (const char* parameters : {"{}", R"({"rescale": true})"}) {
    UpdateByHand update(parameters);
    update.add("w", torch::tensor({3.0, 4.0}, torch::kFloat64));
    expect_near(numbers(update.step({torch::tensor({6.0, 8.0}, torch::kFloat64)})[0]), {0, 0});
  }
}

TEST(PerpGrad, LeavesTheGradientOfAWeightOfZeros) {
  UpdateByHand update;
  update.add("b", torch::zeros({2}, torch::kFloat64));
  expect_near(numbers(update.step({torch::tensor({1.0, -2.0}, torch::kFloat64)})[0]), {1, -2});
}

}  // namespace
}  // namespace orrery::testing
