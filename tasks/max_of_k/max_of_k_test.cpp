#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <algorithm>

namespace orrery::testing {
namespace {

TEST(MaxOfK, SpecIsThatOfThePaper) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.d_vocab, 64);
  EXPECT_EQ(spec.d_vocab_out, 64);
  EXPECT_EQ(spec.n_ctx, 4);
  EXPECT_EQ(spec.read_out, std::vector<int64_t>{3});
  EXPECT_TRUE(spec.endless);
  const auto ended = make_task(R"({"k": 10, "n_numbers": 7, "end_token": true, "n_train": 5})")->spec();
  EXPECT_EQ(ended.d_vocab, 8);
  EXPECT_EQ(ended.d_vocab_out, 7);
  EXPECT_EQ(ended.n_ctx, 11);
  EXPECT_EQ(ended.read_out, std::vector<int64_t>{10});
  EXPECT_FALSE(ended.endless);
}

TEST(MaxOfK, TheLabelIsTheLargest) {
  for (const std::string more : {"", R"(, "end_token": true)", R"(, "uniform_largest": true)"})
    for (const int64_t k : {1, 2, 4, 10}) {
      const auto batch = sample_of(R"({"k": )" + std::to_string(k) + more + "}", 300);
      ASSERT_EQ(batch.labels.sizes(), (std::vector<int64_t>{300, 1}));
      for (int64_t row = 0; row < 300; ++row) {
        int64_t largest = 0;
        for (int64_t i = 0; i < k; ++i) largest = std::max(largest, batch.tokens[row][i].item<int64_t>());
        EXPECT_EQ(batch.labels[row][0].item<int64_t>(), largest) << batch.tokens[row];
        if (batch.tokens.size(1) > k) {
          EXPECT_EQ(batch.tokens[row][k].item<int64_t>(), 64);
        }
      }
    }
}

TEST(MaxOfK, NumbersAreUniform) {
  const auto tokens = sample_of("{}", 20000).tokens;
  for (const int64_t position : {0, 1, 2, 3}) expect_uniform(tokens.select(1, position), 64);
  expect_uniform(tokens.select(1, 0).div(8, "floor") * 8 + tokens.select(1, 3).div(8, "floor"), 64);
}

// Then no largest number is rare, and it may stand anywhere.
TEST(MaxOfK, TheLargestMayBeUniform) {
  const auto batch = sample_of(R"({"uniform_largest": true})", 20000);
  expect_uniform(batch.labels, 64);
  // Of the sequences with a largest number of 63 each place holds it equally often, and the others are
  // uniform below it.
  const auto rows = (batch.labels.select(1, 0) == 63).nonzero().flatten();
  const auto of_63 = batch.tokens.index_select(0, rows);
  ASSERT_GT(rows.size(0), 200);
  for (int64_t i = 0; i < 4; ++i) {
    const auto share = (of_63.select(1, i) == 63).to(torch::kFloat64).mean().item<double>();
    EXPECT_NEAR(share, 0.25, 0.17);
  }
  expect_uniform(of_63.masked_select(of_63 < 63), 63);
  EXPECT_LT(
      sample_of("{}", 20000).labels.to(torch::kFloat64).lt(16).to(torch::kFloat64).mean().item<double>(),
      0.01);  // (1/4)^4 where numbers are drawn alone
}

TEST(MaxOfK, TrainsOnAsManySequencesAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(MaxOfK, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(MaxOfK, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(MaxOfK, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"k": 2, "n_numbers": 3, "n_train": 10})"),
            "training would have 10 of the 9 sequences that exist");
  EXPECT_EQ(refusal(R"({"k": 2, "n_numbers": 3, "n_train": 9})"), "");
  for (const std::string json : {R"({"k": 0})", R"({"n_numbers": 1})", R"({"n_test": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
