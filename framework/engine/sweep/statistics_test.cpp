// The statistics of sweeps against values from the literature, R and by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "engine/sweep/bootstrap.h"
#include "engine/sweep/spearman.h"
#include "engine/sweep/survival.h"
#include "engine/sweep/wilson.h"

namespace orrery::engine {
namespace {

TEST(Wilson, AgreesWithKnownIntervals) {
  // R: prop.test(8, 10, correct = FALSE), prop.test(1, 29, ...)
  EXPECT_NEAR(wilson_interval(8, 10).low, 0.4901625, 1e-6);
  EXPECT_NEAR(wilson_interval(8, 10).high, 0.9433178, 1e-6);
  // Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29.
  EXPECT_NEAR(wilson_interval(81, 263).low, 0.2553, 5e-5);
  EXPECT_NEAR(wilson_interval(81, 263).high, 0.3662, 5e-5);
  EXPECT_NEAR(wilson_interval(15, 148).low, 0.0624, 5e-5);
  EXPECT_NEAR(wilson_interval(15, 148).high, 0.1605, 5e-5);
  EXPECT_EQ(wilson_interval(0, 20).low, 0);
  EXPECT_NEAR(wilson_interval(0, 20).high, 0.1611, 5e-5);
  EXPECT_NEAR(wilson_interval(1, 29).low, 0.0061, 5e-5);
  EXPECT_NEAR(wilson_interval(1, 29).high, 0.1718, 5e-5);
  EXPECT_EQ(wilson_interval(4, 4).high, 1);
}

TEST(Survival, WithoutCensoringItIsTheUsualMedian) {
  EXPECT_EQ(survival_quantile({{3}, {1}, {2}}, 0.5), (Quantile{2}));
  EXPECT_EQ(survival_quantile({{4}, {1}, {3}, {2}}, 0.5), (Quantile{2.5}));
  EXPECT_EQ(survival_quantile({{7}}, 0.5), (Quantile{7}));
  EXPECT_EQ(survival_quantile({{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}}, 0.9), (Quantile{9.5}));
}

TEST(Survival, CensoredOnesCountAsLater) {
  // Three of four grok: the median is that of 1, 2, 3, never.
  EXPECT_EQ(survival_quantile({{1}, {2}, {3}, {100, true}}, 0.5), (Quantile{2.5}));
  // Half never do: known to lie beyond the last event only.
  EXPECT_EQ(survival_quantile({{1}, {100, true}, {100, true}}, 0.5), (Quantile{100, true}));
  EXPECT_EQ(survival_quantile({{1}, {2}, {100, true}, {100, true}}, 0.5), (Quantile{2, true}));
  EXPECT_EQ(survival_quantile({{5, true}, {5, true}}, 0.5), (Quantile{5, true}));
}

TEST(Survival, AgreesWithAKnownKaplanMeierMedian) {
  // Freireich et al. 1963, weeks of remission with 6-MP: median 23.
  const std::vector<Observation> treated = {
      {6},        {6},        {6},        {6, true},  {7},        {9, true},  {10},
      {10, true}, {11, true}, {13},       {16},       {17, true}, {19, true}, {20, true},
      {22},       {23},       {25, true}, {32, true}, {32, true}, {34, true}, {35, true}};
  EXPECT_EQ(survival_quantile(treated, 0.5), (Quantile{23}));
  EXPECT_EQ(survival_quantile(treated, 0.25), (Quantile{13}));
  EXPECT_TRUE(survival_quantile(treated, 0.75).beyond);
}

TEST(Spearman, AgreesWithKnownValues) {
  // The example of hours of television and IQ: rho = -29/165.
  const std::vector<double> iq = {106, 86, 100, 101, 99, 103, 97, 113, 112, 110};
  const std::vector<double> hours = {7, 0, 27, 50, 28, 29, 20, 12, 6, 17};
  EXPECT_NEAR(*spearman(iq, hours), -29.0 / 165, 1e-12);
  EXPECT_EQ(ranks({10, 20, 20, 5}), (std::vector<double>{2, 3.5, 3.5, 1}));
  // R: cor(c(1,2,3,4), c(1,3,3,2), method = "spearman")
  EXPECT_NEAR(*spearman({1, 2, 3, 4}, {1, 3, 3, 2}), 0.3162278, 1e-6);
  const double never = std::numeric_limits<double>::infinity();
  EXPECT_NEAR(*spearman({1, 2, 3}, {5, 8, never}), 1, 1e-12);
  EXPECT_FALSE(spearman({1, 1, 1}, {1, 2, 3}));
  EXPECT_FALSE(spearman({1}, {1}));
}

// y is ordered by z first and by x within equal z: r_xy = 1/sqrt(10), r_xz = 0, r_yz = 3/sqrt(10), so at
// equal z x decides all.
TEST(Spearman, PartialIsWhatIsLeftAtEqualZ) {
  std::vector<double> x, y, z;
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) {
      x.push_back(a);
      z.push_back(b);
      y.push_back(10 * b + a);
    }
  EXPECT_NEAR(*spearman(x, y), 1 / std::sqrt(10), 1e-12);
  EXPECT_NEAR(*partial_spearman(x, y, z), 1, 1e-12);
  EXPECT_NEAR(*partial_spearman(y, x, z), 1, 1e-12);
  // Both follow z, and nothing else is common to them.
  const std::vector<double> first = {1, 2, 4, 3, 5, 6, 8, 7}, second = {2, 1, 4, 3, 6, 5, 8, 7},
                            both = {1.5, 1.5, 3.5, 3.5, 5.5, 5.5, 7.5, 7.5};
  EXPECT_GT(*spearman(first, second), 0.85);
  EXPECT_NEAR(*partial_spearman(first, second, both), 0, 1e-12);
  EXPECT_FALSE(partial_spearman(x, y, y));
  EXPECT_FALSE(partial_spearman(x, y, {1, 1, 1, 1, 1, 1, 1, 1, 1}));
}

double mean_of(const std::vector<double>& data, const std::vector<size_t>& sample) {
  double sum = 0;
  for (const size_t i : sample) sum += data[i];
  return sum / static_cast<double>(sample.size());
}

TEST(Bootstrap, CoversTheMeanAsTheNormalDistributionSays) {
  std::vector<double> data(400);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<double>(i % 20);
  const auto mean = [&](const std::vector<size_t>& sample) { return std::optional(mean_of(data, sample)); };
  const auto interval = bootstrap_interval(data.size(), mean);
  // The standard error of the mean of 0..19: sqrt((20^2 - 1) / 12) / sqrt(400) = 0.2883.
  EXPECT_NEAR(interval->low, 9.5 - 1.96 * 0.2883, 0.08);
  EXPECT_NEAR(interval->high, 9.5 + 1.96 * 0.2883, 0.08);
  const auto again = bootstrap_interval(data.size(), mean);
  EXPECT_EQ(interval->low, again->low);
  EXPECT_EQ(interval->high, again->high);
}

TEST(Bootstrap, LeavesOutWhatCannotBeComputed) {
  const auto rarely = [](const std::vector<size_t>& sample) {
    return sample[0] == 0 ? std::optional(3.0) : std::nullopt;
  };
  EXPECT_EQ(bootstrap_interval(5, rarely)->low, 3);
  EXPECT_FALSE(bootstrap_interval(5, [](const std::vector<size_t>&) { return std::optional<double>(); }));
}

}  // namespace
}  // namespace orrery::engine
