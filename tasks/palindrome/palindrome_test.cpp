#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

namespace orrery::testing {
namespace {

TEST(Palindrome, SpecIsThatOfThePublishedNetwork) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.d_vocab, 33);
  EXPECT_EQ(spec.d_vocab_out, 2);
  EXPECT_EQ(spec.n_ctx, 22);
  EXPECT_EQ(spec.read_out, std::vector<int64_t>{21});
  EXPECT_TRUE(spec.endless);
}

TEST(Palindrome, ShowsWhatAPersonWouldWrite) {
  EXPECT_EQ(make_task(R"({"half_length": 2, "max_value": 9})")
                ->show(torch::tensor({10, 7, 2, 4, 7, 11}, torch::kInt64)),
            "START 7 2 4 7 END");
}

TEST(Palindrome, TheLabelSaysWhetherItReadsTheSameBackwards) {
  for (const std::string json :
       {"{}", R"({"half_length": 1, "max_value": 1})", R"({"half_length": 3, "max_value": 2})"}) {
    const auto task = make_task(json);
    const auto spec = task->spec();
    const auto batch = task->sample(500, 0, make_generator(3));
    const int64_t n = spec.n_ctx;
    for (int64_t row = 0; row < 500; ++row) {
      const auto tokens = batch.tokens[row];
      EXPECT_EQ(tokens[0].item<int64_t>(), spec.d_vocab - 2);
      EXPECT_EQ(tokens[n - 1].item<int64_t>(), spec.d_vocab - 1);
      int64_t differences = 0;
      for (int64_t i = 1; i < n - 1; ++i) {
        EXPECT_LT(tokens[i].item<int64_t>(), spec.d_vocab - 2);
        differences += tokens[i].item<int64_t>() != tokens[n - 1 - i].item<int64_t>();
      }
      EXPECT_EQ(batch.labels[row][0].item<int64_t>(), differences == 0) << task->show(tokens);
    }
  }
}

// Palindromes are half of all; of the pairs of the others half agree, and a few more by chance.
TEST(Palindrome, BothKindsAreAsDocumented) {
  const auto batch = sample_of("{}", 20000);
  expect_uniform(batch.labels, 2);
  const auto no = (batch.labels.select(1, 0) == 0).nonzero().flatten();
  const auto tokens = batch.tokens.index_select(0, no).narrow(1, 1, 20);
  const auto agree = (tokens == tokens.flip({1})).to(torch::kFloat64).mean().item<double>();
  EXPECT_NEAR(agree, 0.5 + 0.5 / 31, 0.01);
  for (const int64_t position : {1, 10, 11, 20}) expect_uniform(batch.tokens.select(1, position), 31);
}

TEST(Palindrome, TrainsOnAsManySequencesAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(Palindrome, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(Palindrome, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(Palindrome, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"half_length": 1, "max_value": 2, "n_train": 10})"),
            "training would have 10 of the 9 sequences that exist");
  for (const std::string json : {R"({"half_length": 0})", R"({"max_value": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
