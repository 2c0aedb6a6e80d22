#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <algorithm>
#include <map>

namespace orrery::testing {
namespace {

TEST(BalancedBrackets, SpecIsThatOfThePublishedNetwork) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.pad_token, 1);
  EXPECT_EQ(spec.d_vocab, 5);
  EXPECT_EQ(spec.d_vocab_out, 2);
  EXPECT_EQ(spec.n_ctx, 42);
  EXPECT_EQ(spec.read_out, std::vector<int64_t>{0});
  EXPECT_EQ(spec.groups, (std::vector<std::string>{"balanced", "total_elevation", "negative_elevation"}));
  EXPECT_TRUE(spec.endless);
  EXPECT_EQ(make_task(R"({"read_out": "last"})")->spec().read_out, std::vector<int64_t>{41});
}

TEST(BalancedBrackets, ShowsWhatAPersonWouldWrite) {
  EXPECT_EQ(make_task(R"({"max_length": 6})")->show(torch::tensor({0, 3, 3, 4, 4, 2, 1, 1}, torch::kInt64)),
            "(())..");
}

// Balanced: pairs "()" can be struck out until nothing is left.
bool reduces_to_nothing(std::string brackets) {
  for (size_t at; (at = brackets.find("()")) != std::string::npos;) brackets.erase(at, 2);
  return brackets.empty();
}

TEST(BalancedBrackets, TheLabelSaysWhetherTheyAre) {
  const auto task = make_task(R"({"max_length": 8})");
  const auto batch = task->sample(2000, 0, make_generator(3));
  ASSERT_EQ(batch.tokens.sizes(), (std::vector<int64_t>{2000, 10}));
  for (int64_t row = 0; row < batch.size(); ++row) {
    const auto tokens = batch.tokens[row];
    std::string padded = task->show(tokens), brackets = padded.substr(0, padded.find('.'));
    const auto length = static_cast<int64_t>(brackets.size());
    EXPECT_EQ(length % 2, 0);
    EXPECT_GE(length, 2);
    EXPECT_EQ(tokens[0].item<int64_t>(), 0);
    EXPECT_EQ(tokens[length + 1].item<int64_t>(), 2);
    EXPECT_EQ(padded.substr(brackets.size()), std::string(8 - brackets.size(), '.'));
    const bool balanced = reduces_to_nothing(brackets);
    EXPECT_EQ(batch.labels[row][0].item<int64_t>(), balanced) << brackets;
    const bool evens_out = std::count(brackets.begin(), brackets.end(), '(') == length / 2;
    EXPECT_EQ(batch.groups[row][0].item<int64_t>(), balanced ? 0 : evens_out ? 2 : 1) << brackets;
  }
}

// Five strings of six brackets are balanced. Half of the strings are drawn from them, a quarter from the 20
// that even out, a quarter from all 64.
TEST(BalancedBrackets, StringsAreDrawnAsDocumented) {
  const auto task = make_task(R"({"max_length": 6, "min_length": 6})");
  const auto batch = task->sample(40000, 0, make_generator(2));
  std::map<std::string, int64_t> seen;
  for (int64_t row = 0; row < batch.size(); ++row) ++seen[task->show(batch.tokens[row])];
  EXPECT_EQ(seen.size(), 64u);
  for (const auto& [brackets, count] : seen) {
    const bool evens_out = std::count(brackets.begin(), brackets.end(), '(') == 3;
    const double share =
        (reduces_to_nothing(brackets) ? 0.5 / 5 : 0) + (evens_out ? 0.25 / 20 : 0) + 0.25 / 64;
    const double expected = 40000 * share;
    EXPECT_NEAR(static_cast<double>(count), expected, 6 * std::sqrt(expected)) << brackets;
  }
}

TEST(BalancedBrackets, LengthsAreUniform) {
  const auto tokens = sample_of("{}", 20000).tokens;
  expect_uniform((tokens == 2).to(torch::kInt64).argmax(1).sub(3).div(2, "floor"),
                 20);  // END after 2, 4, ..., 40
}

TEST(BalancedBrackets, TrainsOnAsManyStringsAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(BalancedBrackets, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(BalancedBrackets, EndlessBatchesDiffer) {
  const auto task = make_task();
  auto rng = make_generator(1);
  EXPECT_FALSE(torch::equal(task->sample(64, 0, rng).tokens, task->sample(64, 1, rng).tokens));
}

TEST(BalancedBrackets, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"max_length": 5})"), "strings of 2 to 5 brackets");
  EXPECT_EQ(refusal(R"({"max_length": 4, "min_length": 6})"), "strings of 6 to 4 brackets");
  EXPECT_EQ(refusal(R"({"max_length": 4, "n_train": 21})"),
            "training would have 21 of the 20 strings that exist");
  EXPECT_THROW(make_task(R"({"read_out": "end"})"), Error);
}

}  // namespace
}  // namespace orrery::testing
