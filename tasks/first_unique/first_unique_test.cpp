#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <algorithm>
#include <map>

namespace orrery::testing {
namespace {

TEST(FirstUnique, SpecIsThatOfThePublishedNetwork) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.d_vocab, 11);
  EXPECT_EQ(spec.d_vocab_out, 11);
  EXPECT_EQ(spec.n_ctx, 20);
  ASSERT_EQ(spec.read_out.size(), 20u);
  EXPECT_EQ(spec.read_out.front(), 0);
  EXPECT_EQ(spec.read_out.back(), 19);
  EXPECT_TRUE(spec.endless);
}

TEST(FirstUnique, ShowsWhatAPersonWouldWrite) {
  EXPECT_EQ(make_task(R"({"n_characters": 3})")->show(torch::tensor({3, 0, 2, 1, 1, 0}, torch::kInt64)),
            "?acbba");
}

// The first character of the text that occurs in it once.
char first_unique(const std::string& text) {
  for (const char c : text)
    if (c != '?' && std::count(text.begin(), text.end(), c) == 1) return c;
  return '?';
}

// The two sequences of the challenge's text, and all 3^5 of their length.
TEST(FirstUnique, TheExamplesOfTheChallenge) {
  const auto task = make_task(R"({"n_characters": 3, "length": 6})");
  const auto batch = task->sample(5000, 0, make_generator(1));
  std::map<std::string, std::string> answers;
  for (int64_t row = 0; row < batch.size(); ++row)
    answers[task->show(batch.tokens[row])] = task->show(batch.labels[row]);
  EXPECT_EQ(answers.size(), 243u);
  EXPECT_EQ(answers["?acbba"], "?aaaac");
  EXPECT_EQ(answers["?cbcbc"], "?ccb??");
  for (const auto& [tokens, labels] : answers)
    for (size_t i = 0; i < tokens.size(); ++i)
      EXPECT_EQ(labels[i], first_unique(tokens.substr(0, i + 1))) << tokens << " at " << i;
}

TEST(FirstUnique, LongSequencesToo) {
  const auto task = make_task(R"({"n_characters": 26, "length": 60})");
  const auto batch = task->sample(100, 0, make_generator(5));
  for (int64_t row = 0; row < batch.size(); ++row) {
    const std::string tokens = task->show(batch.tokens[row]), labels = task->show(batch.labels[row]);
    for (size_t i = 0; i < tokens.size(); ++i)
      ASSERT_EQ(labels[i], first_unique(tokens.substr(0, i + 1))) << tokens;
  }
}

TEST(FirstUnique, CharactersAreUniform) {
  const auto tokens = sample_of("{}", 20000).tokens;
  for (const int64_t position : {1, 10, 19}) expect_uniform(tokens.select(1, position), 10);
  expect_uniform(tokens.select(1, 1) * 10 + tokens.select(1, 2), 100);
}

TEST(FirstUnique, TrainsOnAsManySequencesAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(FirstUnique, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(FirstUnique, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(FirstUnique, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"n_characters": 2, "length": 3, "n_train": 5})"),
            "training would have 5 of the 4 sequences that exist");
  for (const std::string json : {R"({"n_characters": 1})", R"({"n_characters": 27})", R"({"length": 1})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
