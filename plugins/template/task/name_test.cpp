#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/testing/plugin_under_test.h>

#include <set>

namespace orrery::testing {
namespace {

using Numbers = std::vector<int64_t>;

Split split_of(const std::string& json, uint64_t seed = 1) {
  return make_task(json)->split(make_generator(seed));
}

Numbers numbers(const torch::Tensor& row) {
  return {row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + row.numel()};
}

TEST(@Name@, SpecFitsTheDigits) {
  const auto spec = make_task(R"({"n": 4})")->spec();
  EXPECT_EQ(spec.d_vocab, 14);
  EXPECT_EQ(spec.d_vocab_out, 10);
  EXPECT_EQ(spec.n_ctx, 5);
  EXPECT_EQ(spec.read_out, Numbers{4});
}

TEST(@Name@, TheLabelIsTheDigitAtThePlace) {
  for (const std::string json : {R"({"n": 1})", "{}", R"({"n": 4, "train_fraction": 0.1})"}) {
    const auto split = split_of(json);
    for (const Batch& batch : {split.train, split.test})
      for (int64_t row = 0; row < batch.size(); ++row) {
        const auto tokens = numbers(batch.tokens[row]);
        ASSERT_EQ(batch.labels[row].item<int64_t>(), tokens.at(tokens.back() - 10));
      }
  }
}

TEST(@Name@, TheExampleOfTheReadme) {
  const auto grid = *split_of("{}").grid;
  const int64_t row = 3 * 392 + 1;  // the digits 392, their second place
  EXPECT_EQ(numbers(grid.tokens[row]), (Numbers{3, 9, 2, 11}));
  EXPECT_EQ(numbers(grid.labels[row]), Numbers{9});
  EXPECT_EQ(make_task()->show(grid.tokens[row]), "3 9 2 2nd");
}

TEST(@Name@, EveryInputIsTrainedOnOrTested) {
  const auto split = split_of("{}");
  EXPECT_EQ(split.train.size(), 1500);
  EXPECT_EQ(split.test.size(), 1500);
  std::set<Numbers> seen;
  for (const Batch& batch : {split.train, split.test})
    for (int64_t row = 0; row < batch.size(); ++row) seen.insert(numbers(batch.tokens[row]));
  EXPECT_EQ(seen.size(), 3000u);
}

TEST(@Name@, TheSeedDecidesTheSplit) {
  EXPECT_TRUE(torch::equal(split_of("{}", 1).train_rows, split_of("{}", 1).train_rows));
  EXPECT_FALSE(torch::equal(split_of("{}", 1).train_rows, split_of("{}", 2).train_rows));
}

TEST(@Name@, RefusesWhatCannotBe) {
  EXPECT_THROW(make_task(R"({"n": 0})"), Error);
  EXPECT_THROW(make_task(R"({"train_fraction": 1.5})"), Error);
  EXPECT_THROW(make_task(R"({"digits": 3})"), Error);
}

}  // namespace
}  // namespace orrery::testing
