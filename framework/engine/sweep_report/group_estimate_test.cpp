// Bands and survival curves against values worked out by hand, and against what `verify` judges.
#include "engine/sweep_report/group_estimate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "engine/sweep/bootstrap.h"
#include "engine/sweep_report/survival_curve.h"

namespace orrery::engine {
namespace {

TEST(GroupEstimate, OfOneRunHasNoBand) {
  const GroupEstimate one = estimate_group({{7}});
  EXPECT_EQ(one.n, 1u);
  EXPECT_EQ(one.median, Quantile{7});
  EXPECT_EQ(one.mean, 7);
  EXPECT_FALSE(one.median_band);
  EXPECT_FALSE(one.mean_band);
}

TEST(GroupEstimate, BandsHoldTheEstimateAndShrinkWithRuns) {
  std::mt19937 random(3);
  std::vector<Observation> few, many;
  for (int i = 0; i < 200; ++i) {
    const double value = static_cast<double>(random() % 1000);
    if (i < 12) few.push_back({value});
    many.push_back({value});
  }
  const GroupEstimate of_few = estimate_group(few), of_many = estimate_group(many);
  for (const GroupEstimate& each : {of_few, of_many}) {
    EXPECT_LE(each.median_band->low, each.median.value);
    EXPECT_GE(each.median_band->high, each.median.value);
    EXPECT_LT(each.mean_band->low, *each.mean);
    EXPECT_GT(each.mean_band->high, *each.mean);
  }
  EXPECT_LT(of_many.median_band->high - of_many.median_band->low,
            (of_few.median_band->high - of_few.median_band->low) / 2);
}

TEST(GroupEstimate, WhatNeverCameCountsInTheMedianAndLeavesNoMean) {
  const GroupEstimate some = estimate_group({{100}, {200}, {300}, {900, true}, {900, true}});
  EXPECT_EQ(some.never, 2u);
  EXPECT_EQ(some.median, Quantile{300});
  EXPECT_TRUE(std::isinf(some.median_band->high)) << "in many a resample more than half never came";
  EXPECT_FALSE(some.mean);
  EXPECT_FALSE(some.mean_band);
  const GroupEstimate most = estimate_group({{100}, {900, true}, {900, true}});
  EXPECT_TRUE(most.median.beyond);
  EXPECT_EQ(most.median.value, 900);
}

// The interval of a claim about this median: resamples of the runs in the order of the plan.
TEST(GroupEstimate, TheBandIsThatOfAClaim) {
  const std::vector<Observation> group = {{500}, {100}, {900, true}, {300}, {300}, {300, true}, {200}, {700}};
  const auto of_claim = bootstrap_interval(group.size(), [&](const std::vector<size_t>& sample) {
    std::vector<Observation> drawn;
    for (const size_t i : sample) drawn.push_back(group[i]);
    const Quantile median = survival_quantile(std::move(drawn), 0.5);
    return std::optional(median.beyond ? std::numeric_limits<double>::infinity() : median.value);
  });
  const GroupEstimate made = estimate_group(group);
  EXPECT_EQ(made.median_band->low, of_claim->low);
  EXPECT_EQ(made.median_band->high, of_claim->high);
}

TEST(GroupEstimate, ARunHasAValueOrAnEndOrNothing) {
  SweepRow row;
  EXPECT_FALSE(observed(row, 0)) << "not done";
  row.readings = {{3.5, {}, ""}, {{}, 400, ""}, {{}, {}, "no such metric"}, {std::nan(""), {}, ""}};
  EXPECT_EQ(observed(row, 0)->value, 3.5);
  EXPECT_FALSE(observed(row, 0)->censored);
  EXPECT_EQ(observed(row, 1)->value, 400);
  EXPECT_TRUE(observed(row, 1)->censored);
  EXPECT_FALSE(observed(row, 2));
  EXPECT_FALSE(observed(row, 3));
}

// The example of Kaplan and Meier's method in every textbook: 1, 3, 3+, 6, 8+ (+: censored).
TEST(SurvivalCurve, IsTheProductOfShares) {
  const auto curve = survival_curve({{6}, {1}, {3, true}, {3}, {8, true}});
  ASSERT_EQ(curve.size(), 4u);
  const double values[] = {1, 3, 6, 8}, shares[] = {0.8, 0.6, 0.3, 0.3};
  const size_t at_risk[] = {5, 4, 2, 1}, events[] = {1, 1, 1, 0}, censored[] = {0, 1, 0, 1};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(curve[i].value, values[i]);
    EXPECT_NEAR(curve[i].share, shares[i], 1e-12);
    EXPECT_EQ(curve[i].at_risk, at_risk[i]);
    EXPECT_EQ(curve[i].events, events[i]);
    EXPECT_EQ(curve[i].censored, censored[i]);
  }
  // Greenwood's sum at 3 is 1/(5*4) + 1/(4*3) = 0.13333; on the scale of log(-log S):
  const double width = 1.959963984540054 * std::sqrt(1.0 / 20 + 1.0 / 12) / std::abs(std::log(0.6));
  EXPECT_NEAR(curve[1].band->low, std::pow(0.6, std::exp(width)), 1e-12);
  EXPECT_NEAR(curve[1].band->high, std::pow(0.6, std::exp(-width)), 1e-12);
}

TEST(SurvivalCurve, EndsAtZeroIfAllCameAndStaysAtOneIfNone) {
  const auto all = survival_curve({{1}, {2}, {2}});
  EXPECT_EQ(all.back().share, 0);
  EXPECT_FALSE(all.back().band);
  const auto none = survival_curve({{5, true}, {5, true}});
  ASSERT_EQ(none.size(), 1u);
  EXPECT_EQ(none[0].share, 1);
  EXPECT_EQ(none[0].censored, 2u);
  EXPECT_FALSE(none[0].band);
}

// The median that claims are judged by is where the curve falls below one half.
TEST(SurvivalCurve, AgreesWithTheQuantile) {
  std::mt19937 random(1);
  int compared = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<Observation> all;
    for (size_t i = 0; i < 5 + random() % 9; ++i)
      all.push_back({static_cast<double>(random() % 50), random() % 3 == 0});
    const Quantile median = survival_quantile(all, 0.5);
    const auto curve = survival_curve(all);
    const auto below = std::find_if(curve.begin(), curve.end(),
                                    [](const SurvivalStep& step) { return step.share < 0.5 - 1e-9; });
    const bool touches = std::any_of(curve.begin(), curve.end(), [](const SurvivalStep& step) {
      return std::abs(step.share - 0.5) < 1e-9;
    });
    if (touches) continue;  // then the median lies between two steps
    ++compared;
    EXPECT_EQ(median.beyond, below == curve.end());
    EXPECT_EQ(median.value, below == curve.end() ? curve.back().value : below->value);
  }
  EXPECT_GT(compared, 100);
}

}  // namespace
}  // namespace orrery::engine
