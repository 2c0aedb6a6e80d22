// Shared by the tests of tasks with sampled sequences: the task under test, finite or endless.
#pragma once

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <set>
#include <string>

namespace orrery::testing {

inline Split split_of(const std::string& json, uint64_t seed = 1) {
  return make_task(json)->split(make_generator(seed));
}

inline Batch sample_of(const std::string& json, int64_t size, uint64_t seed = 1) {
  return make_task(json)->sample(size, 0, make_generator(seed));
}

/// The error for parameters that the task refuses; "" if it accepts them.
inline std::string refusal(const std::string& json) {
  try {
    make_task(json);
    return "";
  } catch (const UsageError& error) {
    EXPECT_NE(error.hint(), "");
    return error.what();
  }
}

/// Checks that each of the `kinds` values occurs about equally often, within six standard deviations.
inline void expect_uniform(const torch::Tensor& values, int64_t kinds) {
  const auto draws = static_cast<double>(values.numel()), share = 1 / static_cast<double>(kinds);
  const auto counts = torch::bincount(values.flatten(), {}, kinds);
  ASSERT_EQ(counts.size(0), kinds);
  const double bound = 6 * std::sqrt(draws * share * (1 - share));
  EXPECT_GT(counts.min().item<double>(), draws * share - bound);
  EXPECT_LT(counts.max().item<double>(), draws * share + bound);
}

/// Checks that finite data have n_train sequences, and that endless data score as many as there are test
/// sequences, which do not depend on the training data.
inline void expect_as_many_as_asked(int64_t n_train, int64_t n_test) {
  const std::string test = "\"n_test\": " + std::to_string(n_test);
  const auto finite = split_of("{\"n_train\": " + std::to_string(n_train) + ", " + test + "}");
  EXPECT_EQ(finite.train.size(), n_train);
  EXPECT_EQ(finite.test.size(), n_test);
  EXPECT_FALSE(finite.grid.has_value());
  const auto endless = split_of("{" + test + "}");
  EXPECT_EQ(endless.train.size(), n_test);
  EXPECT_EQ(endless.test.size(), n_test);
  EXPECT_FALSE(torch::equal(endless.train.tokens, endless.test.tokens));
  EXPECT_TRUE(torch::equal(endless.test.tokens, finite.test.tokens));
}

inline void expect_the_seed_decides_the_data() {
  const auto one = split_of("{}", 1), again = split_of("{}", 1), two = split_of("{}", 2);
  EXPECT_TRUE(torch::equal(one.train.tokens, again.train.tokens));
  EXPECT_TRUE(torch::equal(one.test.tokens, again.test.tokens));
  if (one.test.repeat_of.defined()) {
    EXPECT_TRUE(torch::equal(one.test.repeat_of, again.test.repeat_of));
  }
  EXPECT_FALSE(torch::equal(one.train.tokens, two.train.tokens));
  EXPECT_TRUE(torch::equal(sample_of("{}", 64).tokens, sample_of("{}", 64).tokens));
}

inline void expect_endless_batches_differ() {
  const auto task = make_task();
  auto rng = make_generator(1);
  std::set<std::string> seen;
  for (int64_t step = 0; step < 20; ++step) seen.insert(task->show(task->sample(64, step, rng).tokens[0]));
  EXPECT_EQ(seen.size(), 20u);
}

}  // namespace orrery::testing
