#include "engine/train/kept.h"

#include <gtest/gtest.h>

namespace orrery::engine {
namespace {

using Steps = std::vector<int64_t>;

Steps kept(const Steps& there, const KeepRule& rule, const CheckpointSettings& settings = {.every = 100}) {
  const auto steps = kept_steps(there, rule, {settings, 1000});
  return {steps.begin(), steps.end()};
}

TEST(KeptSteps, AreTheFirstTheNewestAndTheMarked) {
  const Steps there = {0, 100, 200, 300, 400, 500};
  EXPECT_EQ(kept(there, {.last = 2}), (Steps{0, 400, 500}));
  EXPECT_EQ(kept(there, {.last = 1, .every = 200}), (Steps{0, 200, 400, 500}));
  EXPECT_EQ(kept(there, {.last = 1, .every = 0, .marked = {300, 350}}), (Steps{0, 300, 500}));
  EXPECT_EQ(kept(there, {.last = 9}), there);
  EXPECT_EQ(kept({}, {.last = 1}), Steps{});
  EXPECT_EQ(kept({700}, {.last = 0}), Steps{700});
}

TEST(KeptSteps, AreThoseOfPerDecade) {
  EXPECT_EQ(kept({0, 1, 10, 50, 100, 150, 200}, {.last = 1}, {.every = 50, .per_decade = 1}),
            (Steps{0, 1, 10, 100, 200}));
}

// A run that is thinned at every checkpoint ends with what one thinning at the end leaves.
TEST(KeptSteps, AreTheSameStepByStep) {
  Steps there, all;
  const KeepRule rule{.last = 3, .every = 0, .marked = {200}};
  for (int64_t step = 0; step <= 1000; step += 50) {
    all.push_back(step);
    there.push_back(step);
    there = kept(there, rule);
  }
  EXPECT_EQ(there, kept(all, rule));
}

}  // namespace
}  // namespace orrery::engine
