#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/testing/plugin_under_test.h>

#include <set>

namespace orrery::testing {
namespace {

using Numbers = std::vector<int64_t>;

constexpr int64_t p = 7;
const std::string both = R"({"p": 7})", plus = R"({"p": 7, "signs": "+"})";

Split split_of(const std::string& json, uint64_t seed = 1) {
  return make_task(json)->split(make_generator(seed));
}

Numbers numbers(const torch::Tensor& row) {
  return {row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + row.numel()};
}

// Counted on the fingers: from b up to a, or from a up to b.
int64_t answer(const Numbers& tokens) {
  int64_t from = tokens[1], to = tokens[0], steps = 0;
  if (tokens[2] == p + 1) std::swap(from, to);
  for (; from != to; from = from + 1 == p ? 0 : from + 1) ++steps;
  return steps;
}

TEST(SignedSubtraction, TheLabelIsTheDifferenceUnderTheSign) {
  for (const std::string& json : {both, plus}) {
    const auto grid = *split_of(json).grid;
    for (int64_t row = 0; row < grid.size(); ++row) {
      const auto tokens = numbers(grid.tokens[row]);
      ASSERT_EQ(numbers(grid.labels[row]), Numbers{answer(tokens)});
      ASSERT_EQ(tokens[3], p + 2);
    }
  }
}

TEST(SignedSubtraction, TheExamplesOfTheReadme) {
  const auto task = make_task();
  const auto grid = *task->split(make_generator(1)).grid;
  const int64_t row = 2 * (5 * 47 + 7);  // of 5, 7 and "+"; "-" follows
  EXPECT_EQ(numbers(grid.tokens[row]), (Numbers{5, 7, 47, 49}));
  EXPECT_EQ(numbers(grid.labels[row]), Numbers{45});
  EXPECT_EQ(task->show(grid.tokens[row]), "5 7 + =");
  EXPECT_EQ(numbers(grid.labels[row + 1]), Numbers{2});
  EXPECT_EQ(task->show(grid.tokens[row + 1]), "5 7 - =");
}

TEST(SignedSubtraction, ListsEveryInputOnce) {
  for (const auto& [json, n_signs] : {std::pair{both, 2}, {plus, 1}}) {
    const auto grid = *split_of(json).grid;
    std::set<Numbers> seen;
    for (int64_t row = 0; row < grid.size(); ++row) seen.insert(numbers(grid.tokens[row]));
    EXPECT_EQ(grid.size(), n_signs * p * p);
    EXPECT_EQ(seen.size(), static_cast<size_t>(grid.size()));
  }
}

TEST(SignedSubtraction, TrainAndTestShareTheGridOut) {
  const auto split = split_of(R"({"p": 7, "train_fraction": 0.6})");
  EXPECT_EQ(split.train.size(), 58);  // 0.6 of 98, rounded down
  EXPECT_TRUE(torch::equal(std::get<0>(torch::cat({split.train_rows, split.test_rows}).sort()),
                           torch::arange(98, torch::kInt64)));
  EXPECT_TRUE(torch::equal(split_of(both, 1).train_rows, split_of(both, 1).train_rows));
  EXPECT_FALSE(torch::equal(split_of(both, 1).train_rows, split_of(both, 2).train_rows));
}

// What is declared holds for every input.
TEST(SignedSubtraction, PlainSubtractionIsCyclic) {
  const auto cyclic = *make_task(plus)->structure().cyclic;
  const auto grid = *split_of(plus).grid;
  ASSERT_EQ(cyclic.order, p);
  for (int64_t row = 0; row < grid.size(); ++row) {
    const auto tokens = numbers(grid.tokens[row]);
    const int64_t a = tokens[cyclic.left_position], b = tokens[cyclic.right_position];
    EXPECT_EQ(cyclic.result[grid.labels[row].item<int64_t>()], (cyclic.left[a] + cyclic.right[b]) % p);
  }
}

TEST(SignedSubtraction, WithBothSignsItIsNot) {
  EXPECT_FALSE(make_task(both)->structure().cyclic);
  EXPECT_EQ(make_task(both)->structure().relevant_positions->positions, (Numbers{0, 1, 2}));
  EXPECT_EQ(make_task(plus)->structure().relevant_positions->positions, (Numbers{0, 1}));
}

TEST(SignedSubtraction, RefusesWhatCannotBe) {
  for (const std::string json : {R"({"p": 2})", R"({"signs": "-"})", R"({"train_fraction": 1.5})",
                                 R"({"p": 7, "n_train": 99})", R"({"modulus": 7})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
