#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

namespace orrery::testing {
namespace {

TEST(CaesarCipher, SpecIsAShiftAndItsText) {
  const auto spec = make_task(R"({"alphabet": 7, "length": 4})")->spec();
  EXPECT_EQ(spec.d_vocab, 14);
  EXPECT_EQ(spec.d_vocab_out, 7);
  EXPECT_EQ(spec.n_ctx, 5);
  EXPECT_EQ(spec.read_out, (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_TRUE(spec.endless);
}

TEST(CaesarCipher, ShowsTheShiftAndTheLetters) {
  EXPECT_EQ(make_task()->show(torch::tensor({29, 7, 8}, torch::kInt64)), "+3: h i");
  EXPECT_EQ(make_task(R"({"alphabet": 27})")->show(torch::tensor({30, 7, 26}, torch::kInt64)), "+3: 7 26");
}

// The letters read off show(), looked up in the alphabet and moved on one by one.
TEST(CaesarCipher, EveryLabelIsTheShiftedLetter) {
  const std::string alphabet = "abcdefghijklmnopqrstuvwxyz";
  const auto task = make_task();
  const auto batch = task->sample(300, 0, make_generator(2));
  ASSERT_EQ(batch.labels.size(1), 10);
  for (int64_t row = 0; row < 300; ++row) {
    const std::string shown = task->show(batch.tokens[row]), text = shown.substr(shown.find(':') + 1);
    for (int64_t i = 0; i < 10; ++i) {
      size_t place = alphabet.find(text[static_cast<size_t>(2 * i + 1)]);
      for (int shift = std::stoi(shown); shift > 0; --shift) place = place == 25 ? 0 : place + 1;
      EXPECT_EQ(batch.labels[row][i].item<int64_t>(), static_cast<int64_t>(place)) << shown;
    }
  }
}

TEST(CaesarCipher, ShiftsAndLettersAreUniform) {
  const auto tokens = sample_of("{}", 20000).tokens;
  expect_uniform(tokens.select(1, 0) - 26, 26);
  for (const int64_t position : {1, 10}) expect_uniform(tokens.select(1, position), 26);
}

TEST(CaesarCipher, TrainsOnAsManyTextsAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(CaesarCipher, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(CaesarCipher, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(CaesarCipher, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"alphabet": 2, "length": 2, "n_train": 10})"),
            "training would have 10 of the 8 texts that exist");
  for (const std::string json : {R"({"alphabet": 1})", R"({"length": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
