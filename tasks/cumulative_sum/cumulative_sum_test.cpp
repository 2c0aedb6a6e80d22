#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <sstream>

namespace orrery::testing {
namespace {

TEST(CumulativeSum, SpecIsThatOfThePublishedNetwork) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.d_vocab, 11);
  EXPECT_EQ(spec.d_vocab_out, 3);
  EXPECT_EQ(spec.n_ctx, 20);
  ASSERT_EQ(spec.read_out.size(), 20u);
  EXPECT_EQ(spec.read_out.front(), 0);
  EXPECT_EQ(spec.read_out.back(), 19);
  EXPECT_TRUE(spec.endless);
}

TEST(CumulativeSum, ShowsTheNumbersOfTheTokens) {
  EXPECT_EQ(make_task()->show(torch::tensor({2, 10, 5, 4, 6, 0}, torch::kInt64)), "+2 -1 +5 +4 -5 +0");
}

// Read off the text that show() writes, and added up.
TEST(CumulativeSum, EveryLabelIsTheSignOfTheSumSoFar) {
  for (const std::string json : {"{}", R"({"max_value": 1, "length": 7})"}) {
    const auto task = make_task(json);
    const auto batch = task->sample(300, 0, make_generator(2));
    int64_t classes[3] = {0, 0, 0};
    for (int64_t row = 0; row < 300; ++row) {
      std::istringstream numbers(task->show(batch.tokens[row]));
      int64_t sum = 0, number = 0, position = 0;
      for (; numbers >> number; ++position) {
        sum += number;
        const auto label = batch.labels[row][position].item<int64_t>();
        EXPECT_EQ(label, sum < 0 ? 0 : sum == 0 ? 1 : 2) << task->show(batch.tokens[row]);
        ++classes[label];
      }
      EXPECT_EQ(position, batch.tokens.size(1));
    }
    for (const int64_t seen : classes) EXPECT_GT(seen, 50);
  }
}

// The first number is uniform, the modulus of the others too. Of those that are not zero 70 % have the other
// sign than the sum before, and a sum of zero counts as negative.
TEST(CumulativeSum, NumbersAreDrawnAsDocumented) {
  const auto tokens = sample_of("{}", 20000).tokens;
  const auto numbers = torch::where(tokens <= 5, tokens, tokens - 11);
  expect_uniform(tokens.select(1, 0), 11);
  for (const int64_t position : {1, 10, 19}) {
    const auto here = numbers.select(1, position), before = numbers.narrow(1, 0, position).sum(1);
    expect_uniform(here.abs(), 6);
    const auto moves = here != 0, returns = (here < 0) == (before > 0);
    for (const auto& among : {before > 0, before < 0, before == 0}) {
      const auto chosen = returns.masked_select(among.logical_and(moves)).to(torch::kFloat64);
      const auto n = static_cast<double>(chosen.numel());
      EXPECT_NEAR(chosen.mean().item<double>(), 0.7, 6 * std::sqrt(0.7 * 0.3 / n));
    }
  }
  EXPECT_GT((sample_of(R"({"towards_zero": 1})", 500).labels == 1).sum().item<int64_t>(),
            2 * (sample_of(R"({"towards_zero": 0})", 500).labels == 1).sum().item<int64_t>());
}

TEST(CumulativeSum, TrainsOnAsManySequencesAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(CumulativeSum, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(CumulativeSum, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(CumulativeSum, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"max_value": 1, "length": 2, "n_train": 10})"),
            "training would have 10 of the 9 sequences that exist");
  for (const std::string json : {R"({"max_value": 0})", R"({"length": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
