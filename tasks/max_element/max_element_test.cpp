#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <algorithm>

namespace orrery::testing {
namespace {

TEST(MaxElement, SpecIsThatOfThePaper) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.d_vocab, 22);
  EXPECT_EQ(spec.d_vocab_out, 20);
  EXPECT_EQ(spec.n_ctx, 42);
  EXPECT_EQ(spec.read_out, std::vector<int64_t>{41});
  EXPECT_EQ(spec.groups,
            (std::vector<std::string>{"10", "11", "12", "13", "14", "15", "16", "17", "18", "19"}));
  EXPECT_TRUE(spec.endless);
  EXPECT_FALSE(make_task(R"({"n_train": 100})")->spec().endless);
}

TEST(MaxElement, ShowsWhatAPersonWouldWrite) {
  EXPECT_EQ(make_task(R"({"n_entries": 11})")
                ->show(torch::tensor({20, 0, 4, 7, 2, 4, 14, 9, 7, 2, 5, 3, 21}, torch::kInt64)),
            "START 0 4 7 2 4 14 9 7 2 5 3 END");
}

TEST(MaxElement, TheLabelIsTheOneLargeEntry) {
  for (const int64_t n : {1, 2, 11, 40}) {
    const auto task = make_task(R"({"n_entries": )" + std::to_string(n) + "}");
    const auto spec = task->spec();
    const auto batch = task->sample(500, 0, make_generator(2));
    ASSERT_EQ(batch.tokens.sizes(), (std::vector<int64_t>{500, n + 2}));
    ASSERT_EQ(batch.labels.sizes(), (std::vector<int64_t>{500, 1}));
    ASSERT_EQ(batch.groups.sizes(), batch.labels.sizes());
    EXPECT_FALSE(batch.scored.defined());
    for (int64_t row = 0; row < batch.size(); ++row) {
      const auto tokens = batch.tokens[row];
      EXPECT_EQ(tokens[0].item<int64_t>(), 20);
      EXPECT_EQ(tokens[n + 1].item<int64_t>(), 21);
      int64_t n_large = 0, largest = -1;
      for (int64_t i = 1; i <= n; ++i) {
        const auto entry = tokens[i].item<int64_t>();
        EXPECT_GE(entry, 0);
        EXPECT_LT(entry, 20);
        n_large += entry >= 10;
        largest = std::max(largest, entry);
      }
      EXPECT_EQ(n_large, 1) << task->show(tokens);
      EXPECT_EQ(batch.labels[row][0].item<int64_t>(), largest) << task->show(tokens);
      EXPECT_EQ(spec.groups[batch.groups[row][0].item<int64_t>()], std::to_string(largest));
    }
  }
}

TEST(MaxElement, PlacesAndValuesAreUniform) {
  const auto batch = sample_of("{}", 20000);
  const auto entries = batch.tokens.narrow(1, 1, 40);
  const auto place = entries.argmax(1), large = batch.labels.select(1, 0) - 10;
  expect_uniform(place, 40);
  expect_uniform(large, 10);
  expect_uniform(place * 10 + large, 400);  // and independent
  expect_uniform(entries.masked_select(entries < 10), 10);
  for (const int64_t i : {0, 20, 39}) {
    const auto here = entries.select(1, i);
    expect_uniform(here.masked_select(here < 10), 10);
  }
}

TEST(MaxElement, TrainsOnAsManySequencesAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(MaxElement, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(MaxElement, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(MaxElement, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"n_entries": 2, "n_train": 201})"),
            "training would have 201 of the 200 sequences that exist");
  EXPECT_EQ(refusal(R"({"n_entries": 2, "n_train": 200})"), "");
  EXPECT_EQ(refusal(R"({"n_entries": 4096, "n_train": 100})"), "");
  for (const std::string json : {R"({"n_entries": 0})", R"({"n_train": -1})", R"({"n_test": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
