#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <algorithm>
#include <map>

namespace orrery::testing {
namespace {

using Row = std::vector<int64_t>;

std::string parameters(int64_t vocabulary, int64_t length, int64_t subsequence, int64_t times) {
  return R"({"vocabulary": )" + std::to_string(vocabulary) + R"(, "length": )" + std::to_string(length) +
         R"(, "subsequence": )" + std::to_string(subsequence) + R"(, "times": )" + std::to_string(times) +
         "}";
}

Row row_of(const torch::Tensor& x, int64_t row) {
  const auto* first = x.data_ptr<int64_t>() + row * x.size(1);
  return {first, first + x.size(1)};
}

TEST(RepeatedSubsequence, SpecIsThatOfThePaper) {
  const auto task = make_task();
  const auto spec = task->spec();
  EXPECT_EQ(spec.d_vocab, 129);
  EXPECT_EQ(spec.d_vocab_out, 128);
  EXPECT_EQ(spec.n_ctx, 85);
  ASSERT_EQ(spec.read_out.size(), 84u);
  for (int64_t i = 0; i < 84; ++i) EXPECT_EQ(spec.read_out[i], i);
  EXPECT_EQ(spec.groups, (std::vector<std::string>{"repeats", "rest"}));
  EXPECT_TRUE(spec.endless);
  EXPECT_FALSE(make_task(R"({"n_train": 512})")->spec().endless);
  const auto structure = task->structure();
  ASSERT_TRUE(structure.repeats);
  EXPECT_EQ(structure.repeats->length, 16);
  EXPECT_EQ(structure.repeats->times, 3);
  EXPECT_FALSE(structure.cyclic);
}

TEST(RepeatedSubsequence, ShowsWhatAPersonWouldRead) {
  EXPECT_EQ(make_task()->show(torch::tensor({128, 7, 2, 127, 0}, torch::kInt64)), "BOS 7 2 127 0");
}

// With nothing but the stretch the sequence is known up to its tokens: x y z x y z.
TEST(RepeatedSubsequence, WithoutOtherTokensNothingIsLeftToChance) {
  const auto batch = sample_of(parameters(50, 7, 3, 2), 20);
  for (int64_t row = 0; row < batch.size(); ++row) {
    const Row tokens = row_of(batch.tokens, row);
    EXPECT_EQ(tokens[0], 50);
    for (int64_t i = 1; i <= 3; ++i) EXPECT_EQ(tokens[i], tokens[i + 3]);
    EXPECT_EQ(row_of(batch.repeat_of, row), (Row{-1, -1, -1, -1, 1, 2, 3}));
    EXPECT_EQ(row_of(batch.groups, row), (Row{1, 1, 1, 1, 0, 0}));
    EXPECT_EQ(row_of(batch.labels, row), Row(tokens.begin() + 1, tokens.end()));
  }
}

// The same sequences, with END behind them in place of BOS in front; what comes before END is never
// predicted.
TEST(RepeatedSubsequence, TheMarkerMayStandAtTheEnd) {
  const auto bos = sample_of("{}", 50), end = sample_of(R"({"marker": "end"})", 50);
  EXPECT_TRUE((end.tokens.select(1, 84) == 128).all().item<bool>());
  EXPECT_TRUE(torch::equal(end.tokens.narrow(1, 0, 84), bos.tokens.narrow(1, 1, 84)));
  const auto repeat_of = bos.repeat_of.narrow(1, 1, 84);
  EXPECT_TRUE(
      torch::equal(end.repeat_of.narrow(1, 0, 84), torch::where(repeat_of < 0, repeat_of, repeat_of - 1)));
  EXPECT_TRUE((end.repeat_of.select(1, 84) == -1).all().item<bool>());
  EXPECT_TRUE(torch::equal(end.labels, end.tokens.narrow(1, 1, 83)));
  EXPECT_TRUE(torch::equal(end.groups, bos.groups.narrow(1, 1, 83)));
  const auto task = make_task(R"({"marker": "end"})");
  EXPECT_EQ(task->spec().read_out.size(), 83u);
  EXPECT_EQ(task->show(torch::tensor({7, 2, 128}, torch::kInt64)), "7 2 END");
}

// What the declaration must be, from the tokens alone. Only for a row in which no two tokens are equal by
// chance: then a token that occurs more than once is of the stretch, and its place in it is the order of
// first appearance. Returns false where chance has made two equal.
bool read_from_tokens(const Row& tokens, int64_t subsequence, int64_t times, Row& repeat_of, Row& groups) {
  std::map<int64_t, Row> places;  // of each token, in order
  Row in_order_of_appearance;
  for (size_t i = 1; i < tokens.size(); ++i) places[tokens[i]].push_back(static_cast<int64_t>(i));
  for (size_t i = 1; i < tokens.size(); ++i) {
    const Row& here = places[tokens[i]];
    if (here.size() != 1 && here.size() != static_cast<size_t>(times)) return false;
    if (here.size() > 1 && here[0] == static_cast<int64_t>(i)) in_order_of_appearance.push_back(tokens[i]);
  }
  if (in_order_of_appearance.size() != static_cast<size_t>(subsequence)) return false;
  repeat_of.assign(tokens.size(), -1);
  groups.assign(tokens.size() - 1, 1);
  for (int64_t offset = 0; offset < subsequence; ++offset) {
    const Row& here = places[in_order_of_appearance[offset]];
    for (int64_t i = 1; i < times; ++i) {
      repeat_of[here[i]] = here[i - 1];
      if (offset > 0) groups[here[i] - 1] = 0;
    }
  }
  return true;
}

TEST(RepeatedSubsequence, RepeatsAndGroupsAreWhatTheTokensSay) {
  const int64_t shapes[][3] = {{85, 16, 3}, {49, 16, 3}, {50, 16, 3}, {20, 2, 4}, {12, 5, 2}, {30, 3, 2}};
  for (const auto& [length, subsequence, times] : shapes) {
    const auto batch = sample_of(parameters(65536, length, subsequence, times), 300);
    int64_t read = 0;
    for (int64_t row = 0; row < batch.size(); ++row) {
      const Row tokens = row_of(batch.tokens, row);
      Row repeat_of, groups;
      if (!read_from_tokens(tokens, subsequence, times, repeat_of, groups)) continue;
      ++read;
      EXPECT_EQ(row_of(batch.repeat_of, row), repeat_of);
      EXPECT_EQ(row_of(batch.groups, row), groups);
    }
    EXPECT_GE(read, 270);  // equal by chance: 52 * 51 / 2 / 65536 = 2 % of the largest
  }
}

// What holds for every sequence, with equal tokens by chance too.
TEST(RepeatedSubsequence, LabelsAndRepeatsHoldForEveryRow) {
  const int64_t shapes[][4] = {{128, 85, 16, 3}, {2, 40, 4, 5}, {3, 9, 2, 3}};
  for (const auto& [vocabulary, length, subsequence, times] : shapes) {
    const auto batch = sample_of(parameters(vocabulary, length, subsequence, times), 200);
    for (int64_t row = 0; row < batch.size(); ++row) {
      const Row tokens = row_of(batch.tokens, row), repeat_of = row_of(batch.repeat_of, row);
      EXPECT_EQ(tokens[0], vocabulary);
      for (int64_t i = 1; i < length; ++i) {
        EXPECT_TRUE(tokens[i] >= 0 && tokens[i] < vocabulary);
        EXPECT_EQ(batch.labels[row][i - 1].item<int64_t>(), tokens[i]);
        if (repeat_of[i] < 0) continue;
        EXPECT_LE(repeat_of[i], i - subsequence);  // occurrences do not overlap
        EXPECT_GE(repeat_of[i], 1);
        EXPECT_EQ(tokens[i], tokens[repeat_of[i]]);
      }
      const auto repeated =
          std::count_if(repeat_of.begin(), repeat_of.end(), [](int64_t i) { return i >= 0; });
      EXPECT_EQ(repeated, (times - 1) * subsequence);
      EXPECT_EQ((batch.groups[row] == 0).sum().item<int64_t>(), (times - 1) * (subsequence - 1));
    }
  }
}

TEST(RepeatedSubsequence, LossOnSaysWhichLabelsCount) {
  const auto repeats = sample_of(R"({"loss_on": "repeats"})", 50),
             all = sample_of(R"({"loss_on": "all"})", 50);
  EXPECT_TRUE(torch::equal(repeats.scored, repeats.groups == 0));
  EXPECT_EQ(repeats.scored.sum().item<int64_t>(), 50 * 2 * 15);
  EXPECT_FALSE(all.scored.defined());
  EXPECT_TRUE(torch::equal(all.groups, repeats.groups));
  EXPECT_TRUE(torch::equal(all.tokens, repeats.tokens));
}

// Length 8 has room for two stretches of 2 and 3 others: 10 ways to place them.
TEST(RepeatedSubsequence, EveryPlacementIsEquallyLikely) {
  const auto batch = sample_of(parameters(10, 8, 2, 2), 20000);
  std::map<std::pair<int64_t, int64_t>, int64_t> names;
  std::vector<int64_t> placements;
  for (int64_t row = 0; row < batch.size(); ++row) {
    const Row repeat_of = row_of(batch.repeat_of, row);
    const auto second = std::find_if(repeat_of.begin(), repeat_of.end(), [](int64_t i) { return i >= 0; });
    const std::pair<int64_t, int64_t> starts{*second, second - repeat_of.begin()};
    placements.push_back(names.emplace(starts, int64_t(names.size())).first->second);
  }
  expect_uniform(torch::tensor(placements, torch::kInt64), 10);
}

TEST(RepeatedSubsequence, TokensAreUniform) {
  const auto batch = sample_of("{}", 4000);
  const auto tokens = batch.tokens.narrow(1, 1, 84);
  expect_uniform(tokens.masked_select(batch.repeat_of.narrow(1, 1, 84) < 0), 128);
  for (const int64_t i : {0, 41, 83}) expect_uniform(tokens.select(1, i), 128);
}

TEST(RepeatedSubsequence, TrainsOnAsManySequencesAsAsked) { expect_as_many_as_asked(512, 100); }

TEST(RepeatedSubsequence, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(RepeatedSubsequence, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(RepeatedSubsequence, RefusesWhatCannotBe) {
  EXPECT_EQ(
      refusal(parameters(128, 48, 16, 3)),
      "a subsequence of 16 repeated 3 times takes 48 tokens, but beside BOS a sequence of length 48 has 47");
  EXPECT_EQ(refusal(parameters(128, 49, 16, 3)), "");
  EXPECT_NE(refusal(R"({"subsequence": 100})"), "");
  EXPECT_NE(refusal(parameters(128, 4096, 4096, 4096)), "");
  // 2^2 stretches; with one other token, 2 * 3 times as many.
  const std::string tiny = R"({"vocabulary": 2, "subsequence": 2, "times": 2, )";
  EXPECT_EQ(refusal(tiny + R"("length": 5, "n_train": 5})"),
            "training would have 5 sequences, but at most 4 exist");
  EXPECT_EQ(refusal(tiny + R"("length": 6, "n_train": 24})"), "");
  EXPECT_NE(refusal(tiny + R"("length": 6, "n_train": 25})"), "");
  for (const std::string json : {R"({"subsequence": 1})", R"({"times": 1})", R"({"vocabulary": 1})",
                                 R"({"loss_on": "rest"})", R"({"n_train": -1})", R"({"n_test": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

TEST(RepeatedSubsequence, CorruptsOneTokenWhereverItOccurs) {
  for (const std::string marker : {"bos", "end"}) {
    const auto task = make_task(
        R"({"vocabulary": 20, "length": 18, "subsequence": 4, "times": 3, "marker": ")" + marker + "\"}");
    const Batch clean = task->sample(100, 0, make_generator(1));
    const Batch partners = task->corrupt(clean, make_generator(2));
    const torch::Tensor changed = partners.tokens != clean.tokens;
    EXPECT_TRUE(changed.sum(1).eq(3).all().item<bool>());
    EXPECT_TRUE(partners.repeat_of.equal(clean.repeat_of));
    EXPECT_TRUE(partners.labels.equal(partners.tokens.narrow(1, 1, clean.labels.size(1))));
    EXPECT_TRUE(((partners.labels != clean.labels) & clean.scored).sum(1).eq(2).all().item<bool>());
    for (int64_t row = 0; row < clean.size(); ++row)
      for (int64_t at = 0; at < 18; ++at)
        if (const int64_t earlier = clean.repeat_of[row][at].item<int64_t>(); earlier >= 0)
          EXPECT_EQ(partners.tokens[row][at].item<int64_t>(), partners.tokens[row][earlier].item<int64_t>());
  }
}

}  // namespace
}  // namespace orrery::testing
