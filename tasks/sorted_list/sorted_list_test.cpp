#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <algorithm>

namespace orrery::testing {
namespace {

TEST(SortedList, SpecIsThatOfThePublishedNetwork) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.d_vocab, 52);
  EXPECT_EQ(spec.d_vocab_out, 52);
  EXPECT_EQ(spec.n_ctx, 21);
  EXPECT_EQ(spec.read_out, (std::vector<int64_t>{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}));
  EXPECT_EQ(spec.groups.front(), "rank_0");
  EXPECT_EQ(spec.groups.back(), "rank_9");
  EXPECT_TRUE(spec.endless);
}

TEST(SortedList, ShowsWhatAPersonWouldWrite) {
  EXPECT_EQ(make_task(R"({"list_length": 3, "max_value": 12})")
                ->show(torch::tensor({11, 2, 5, 13, 2, 5, 11}, torch::kInt64)),
            "11 2 5 SEP 2 5 11");
}

TEST(SortedList, TheSecondHalfIsTheFirstSorted) {
  for (const std::string json : {"{}", R"({"list_length": 4, "max_value": 3})",
                                 R"({"list_length": 6, "max_value": 3, "distinct": false})"}) {
    const auto task = make_task(json);
    const auto spec = task->spec();
    const int64_t n = (spec.n_ctx - 1) / 2;
    const auto batch = task->sample(300, 0, make_generator(3));
    bool twice = false;
    for (int64_t row = 0; row < 300; ++row) {
      const auto tokens = batch.tokens[row].contiguous();
      const int64_t* token = tokens.data_ptr<int64_t>();
      std::vector<int64_t> list(token, token + n);
      std::sort(list.begin(), list.end());
      twice = twice || std::adjacent_find(list.begin(), list.end()) != list.end();
      EXPECT_EQ(token[n], spec.d_vocab - 1);
      EXPECT_EQ(std::vector<int64_t>(token + n + 1, token + 2 * n + 1), list) << task->show(tokens);
      for (int64_t i = 0; i < n; ++i) {
        EXPECT_EQ(batch.labels[row][i].item<int64_t>(), token[spec.read_out[i] + 1]);  // the next token
        EXPECT_EQ(batch.groups[row][i].item<int64_t>(), i);
      }
    }
    EXPECT_EQ(twice, json.find("false") != std::string::npos);
  }
}

TEST(SortedList, ListsAreUniform) {
  const auto tokens = sample_of("{}", 20000).tokens;
  for (const int64_t position : {0, 5, 9}) expect_uniform(tokens.select(1, position), 51);
  // Of the 12 ordered pairs of distinct values each is as likely.
  const auto pairs = sample_of(R"({"list_length": 2, "max_value": 3})", 20000).tokens;
  const auto code = pairs.select(1, 0) * 4 + pairs.select(1, 1);
  expect_uniform(torch::tensor({-1, 0, 1, 2, 3, -1, 4, 5, 6, 7, -1, 8, 9, 10, 11, -1}, torch::kInt64)
                     .index_select(0, code),
                 12);
}

TEST(SortedList, TrainsOnAsManyListsAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(SortedList, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(SortedList, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(SortedList, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"list_length": 5, "max_value": 3})"),
            "a list of 5 distinct values, where only 4 exist");
  EXPECT_EQ(refusal(R"({"list_length": 5, "max_value": 3, "distinct": false})"), "");
  EXPECT_EQ(refusal(R"({"list_length": 2, "max_value": 3, "n_train": 13})"),
            "training would have 13 of the 12 lists that exist");
  EXPECT_THROW(make_task(R"({"list_length": 0})"), Error);
}

}  // namespace
}  // namespace orrery::testing
