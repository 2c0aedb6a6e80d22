// The energies of waves, against plain tensor operations in float64.
#include "sdk/analysis/wave_energies.h"

#include <gtest/gtest.h>
#include <orrery/fourier.h>
#include <torch/torch.h>

namespace orrery {
namespace {

double distance(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>() / b.abs().max().clamp_min(1e-300).item<double>();
}

void expect_near(const WaveEnergies& found, const WaveEnergies& expected, double tolerance) {
  EXPECT_LT(distance(found.components, expected.components), tolerance);
  EXPECT_LT(distance(found.varying, expected.varying), tolerance);
  EXPECT_LT(distance(found.own, expected.own), tolerance);
  EXPECT_LT(distance(found.total, expected.total), tolerance);
  EXPECT_TRUE(found.varies.equal(expected.varies));
}

// Orders with and without a sine of each frequency; numbers of functions on both sides of what is done
// together.
class WaveEnergiesOf : public ::testing::TestWithParam<std::tuple<int64_t, int64_t>> {};
INSTANTIATE_TEST_SUITE_P(Sizes, WaveEnergiesOf,
                         ::testing::Combine(::testing::Values(2, 3, 4, 7, 12, 29),
                                            ::testing::Values(1, 7, 8, 65, 72)));

TEST_P(WaveEnergiesOf, FunctionsAreThoseOfPlainOperations) {
  const auto [n, m] = GetParam();
  torch::manual_seed(n * 100 + m);
  auto x = torch::randn({n, n, m}, torch::kFloat64) + 3;
  if (m > 1) x.select(2, m / 2).fill_(0.3);  // rounds, once centred
  const WaveEnergies expected = plain_wave_energies(x);
  EXPECT_EQ(expected.varies[m / 2].item<bool>(), m == 1);
  expect_near(wave_energies(x), expected, 1e-12);
  expect_near(wave_energies(x.to(torch::kFloat32)), expected, 3e-5);
  expect_near(wave_energies(x.permute({2, 0, 1}).contiguous().permute({1, 2, 0})), expected, 1e-12);
}

TEST(WaveEnergiesOf, AFunctionThatIsNotANumberVariesNot) {
  auto x = torch::randn({5, 5, 9});
  const WaveEnergies before = wave_energies(x);
  x[2][3][4] = std::numeric_limits<float>::quiet_NaN();
  const WaveEnergies after = wave_energies(x);
  EXPECT_FALSE(after.varies[4].item<bool>());
  EXPECT_TRUE(torch::isfinite(after.varying).all().item<bool>());
  EXPECT_TRUE(torch::isnan(after.components[1][1]).item<bool>());
  EXPECT_TRUE(after.own.select(1, 5).equal(before.own.select(1, 5)));
}

}  // namespace
}  // namespace orrery
