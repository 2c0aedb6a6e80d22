#include "engine/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using Steps = std::vector<int64_t>;

Steps steps_of(int64_t every, int64_t per_decade, int64_t last) {
  return CheckpointSchedule({every, per_decade}, last).steps();
}

TEST(CheckpointSchedule, every_n_with_both_ends) {
  EXPECT_EQ(steps_of(100, 0, 300), (Steps{0, 100, 200, 300}));
  EXPECT_EQ(steps_of(100, 0, 350), (Steps{0, 100, 200, 300, 350}));
  EXPECT_EQ(steps_of(100, 0, 50), (Steps{0, 50}));
  EXPECT_EQ(steps_of(0, 0, 1000), (Steps{0, 1000}));
  EXPECT_EQ(steps_of(1, 0, 3), (Steps{0, 1, 2, 3}));
  EXPECT_EQ(steps_of(100, 5, 0), (Steps{0}));
}

TEST(CheckpointSchedule, logarithmic) {
  EXPECT_EQ(steps_of(0, 1, 100000), (Steps{0, 1, 10, 100, 1000, 10000, 100000}));
  EXPECT_EQ(steps_of(0, 2, 1000), (Steps{0, 1, 3, 10, 32, 100, 316, 1000}));
  EXPECT_EQ(steps_of(0, 3, 500), (Steps{0, 1, 2, 5, 10, 22, 46, 100, 215, 464, 500}));
  // 10^(k/10) rounds to 1 1 2 2 3 3 4 5 6 8 10: each once
  EXPECT_EQ(steps_of(0, 10, 10), (Steps{0, 1, 2, 3, 4, 5, 6, 8, 10}));
}

TEST(CheckpointSchedule, both) {
  EXPECT_EQ(steps_of(40, 2, 110), (Steps{0, 1, 3, 10, 32, 40, 80, 100, 110}));
}

TEST(CheckpointSchedule, due_agrees_with_the_definition) {
  for (const int64_t every : {0, 1, 7, 100})
    for (const int64_t per_decade : {0, 1, 4, 1000})
      for (const int64_t last : {0, 1, 99, 2000}) {
        std::set<int64_t> expected{0, last};
        for (int64_t step = 0; step <= last; ++step)
          if (every > 0 && step % every == 0) expected.insert(step);
        for (int64_t k = 0; per_decade > 0 && k <= 4 * per_decade; ++k)
          if (const int64_t step = std::llround(std::pow(10.0, double(k) / double(per_decade))); step <= last)
            expected.insert(step);
        const CheckpointSchedule schedule({every, per_decade}, last);
        EXPECT_EQ(schedule.steps(), Steps(expected.begin(), expected.end()))
            << every << " " << per_decade << " " << last;
        for (int64_t step = -3; step <= last + 200; ++step)
          ASSERT_EQ(schedule.due(step), expected.contains(step))
              << every << " " << per_decade << " " << last << ": " << step;
      }
}

TEST(CheckpointSchedule, long_runs_cost_nothing) {
  const int64_t last = std::numeric_limits<int64_t>::max();
  const CheckpointSchedule schedule({1000, 1000}, last);
  EXPECT_TRUE(schedule.due(last));
  EXPECT_TRUE(schedule.due(1000000000000000));
  EXPECT_FALSE(schedule.due(last - 1));
  EXPECT_EQ(steps_of(last, 1, last).size(), 21u);  // 0, 10^0 .. 10^18, last
}

TEST(CheckpointSchedule, refuses_negative_settings) {
  EXPECT_THROW(CheckpointSchedule({-1, 0}, 10), UsageError);
  EXPECT_THROW(CheckpointSchedule({1, -1}, 10), UsageError);
  EXPECT_THROW(CheckpointSchedule({1, 0}, -1), UsageError);
}

TEST(CheckpointSchedule, counts_what_it_lists) {
  for (const CheckpointSettings& settings :
       {CheckpointSettings{.every = 7}, CheckpointSettings{.every = 0},
        CheckpointSettings{.every = 10, .per_decade = 3}, CheckpointSettings{.every = 500, .per_decade = 1}})
    for (const int64_t last : {0, 1, 70, 333})
      for (const int64_t from : {0, 1, 7, 70, 71, 400})
        for (const int64_t each : {1, 4, 7, 1000}) {
          const CheckpointSchedule schedule(settings, last);
          int64_t listed = 0;
          for (const int64_t step : schedule.steps()) listed += step >= from && step % each == 0;
          EXPECT_EQ(schedule.count(from, each), listed)
              << settings.every << " " << last << " " << from << " " << each;
        }
}

}  // namespace
}  // namespace orrery::engine
