#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <set>
#include <sstream>

namespace orrery::testing {
namespace {

using Row = std::vector<int64_t>;

Row row_of(const torch::Tensor& x, int64_t row) {
  const auto part = x[row].contiguous();
  return {part.data_ptr<int64_t>(), part.data_ptr<int64_t>() + part.numel()};
}

// find(i) of the definition, by looking back; -1 where there is none.
int64_t find(const Row& string, int64_t i) {
  for (int64_t j = i - 1; j >= 0; --j)
    if (string[j] == string[i]) return j + 1;
  return -1;
}

// Where `hops` hops from i lead; -1 where one of them does not exist.
int64_t hop(const Row& string, int64_t i, int64_t hops) {
  if (hops == 0 || i < 0) return i;
  return hop(string, find(string, i), hops - 1);
}

std::string parameters(int64_t k, int64_t vocabulary, int64_t length, const std::string& more = "") {
  return "{\"k\": " + std::to_string(k) + ", \"vocabulary\": " + std::to_string(vocabulary) +
         ", \"length\": " + std::to_string(length) + more + "}";
}

TEST(KHopInduction, SpecHasAClassForNone) {
  const auto spec = make_task(parameters(3, 5, 20))->spec();
  EXPECT_EQ(spec.d_vocab, 5);
  EXPECT_EQ(spec.d_vocab_out, 6);
  EXPECT_EQ(spec.n_ctx, 20);
  ASSERT_EQ(spec.read_out.size(), 20u);
  for (int64_t i = 0; i < 20; ++i) EXPECT_EQ(spec.read_out[i], i);
  EXPECT_EQ(spec.groups, (std::vector<std::string>{"exists", "none"}));
  EXPECT_TRUE(spec.endless);
  const auto mixed = make_task(parameters(2, 5, 20, R"(, "mixed": true)"))->spec();
  EXPECT_EQ(mixed.d_vocab, 8);
  EXPECT_EQ(mixed.n_ctx, 21);
  EXPECT_EQ(mixed.read_out.front(), 1);
  EXPECT_EQ(mixed.read_out.back(), 20);
  EXPECT_EQ(mixed.groups, (std::vector<std::string>{"hops_0", "hops_1", "hops_2"}));
  const auto last = make_task(parameters(2, 5, 20, R"(, "read_out": "last")"))->spec();
  EXPECT_EQ(last.read_out, Row{19});
  EXPECT_TRUE(last.groups.empty());
}

// hop_0 to hop_4 of the string of the README, at all of its positions, written down by hand; 4 is "none".
TEST(KHopInduction, TheExampleOfTheReadme) {
  const Row string = {2, 0, 1, 2, 0, 3, 1, 2};
  const Row expected[] = {
      {2, 0, 1, 2, 0, 3, 1, 2}, {4, 4, 4, 0, 1, 4, 2, 0}, {4, 4, 4, 4, 4, 4, 0, 1}, {4, 4, 4, 4, 4, 4, 4, 4}};
  for (int64_t k = 0; k < 4; ++k) {
    Row labels;
    for (int64_t i = 0; i < 8; ++i) {
      const int64_t at = hop(string, i, k);
      labels.push_back(at < 0 ? 4 : string[at]);
    }
    EXPECT_EQ(labels, expected[k]) << k;
  }
  EXPECT_EQ(make_task()->show(torch::tensor(string, torch::kInt64)), "2 0 1 2 0 3 1 2");
  // One of 4 * 3^7 = 8,748 strings: among 100,000 it comes up.
  for (int64_t k = 0; k < 4; ++k) {
    const auto batch = sample_of(parameters(k, 4, 8), 100000);
    const auto same = (batch.tokens == torch::tensor(string, torch::kInt64)).all(1).nonzero().flatten();
    ASSERT_GT(same.numel(), 0);
    EXPECT_EQ(row_of(batch.labels, same[0].item<int64_t>()), expected[k]) << k;
  }
}

TEST(KHopInduction, EveryLabelIsFoundByLookingBack) {
  const int64_t shapes[][3] = {{2, 4, 32},   {1, 3, 10},   {0, 5, 7}, {5, 3, 60},
                               {16, 4, 100}, {3, 100, 40}, {2, 4, 2}};
  for (const auto& [k, vocabulary, length] : shapes)
    for (const std::string more : {"", R"(, "mixed": true)", R"(, "read_out": "last")",
                                   R"(, "mixed": true, "read_out": "last")", R"(, "n_train": 3)"}) {
      const std::string json = parameters(k, vocabulary, length, more);
      const auto spec = make_task(json)->spec();
      const int64_t skip = spec.n_ctx - length;
      const auto batch = sample_of(json, 60);
      for (int64_t row = 0; row < batch.size(); ++row) {
        const Row tokens = row_of(batch.tokens, row), string(tokens.begin() + skip, tokens.end());
        const int64_t hops = skip ? tokens[0] - vocabulary : k;
        ASSERT_TRUE(hops >= 0 && hops <= k);
        for (size_t r = 0; r < spec.read_out.size(); ++r) {
          const int64_t at = hop(string, spec.read_out[r] - skip, hops);
          ASSERT_EQ(batch.labels[row][r].item<int64_t>(), at < 0 ? vocabulary : string[at]) << json;
          ASSERT_EQ(batch.auxiliary.at("source")[row][r].item<int64_t>(), at < 0 ? -1 : at + skip);
          if (spec.groups.empty()) continue;
          ASSERT_EQ(batch.groups[row][r].item<int64_t>(), skip ? hops : at < 0 ? 1 : 0);
        }
      }
    }
}

TEST(KHopInduction, StringsAreUniformWithoutTheSameTokenTwiceInARow) {
  const auto strings = sample_of(parameters(2, 4, 12), 20000).tokens;
  for (const int64_t i : {0, 5, 11}) expect_uniform(strings.select(1, i), 4);
  for (const int64_t i : {1, 6, 11}) {
    const auto step = (strings.select(1, i) - strings.select(1, i - 1)).remainder(4);
    EXPECT_EQ((step == 0).sum().item<int64_t>(), 0);
    expect_uniform(step - 1, 3);
  }
}

TEST(KHopInduction, MixedHopsAreUniform) {
  const auto batch = sample_of(parameters(3, 4, 12, R"(, "mixed": true)"), 20000);
  expect_uniform(batch.tokens.select(1, 0) - 4, 4);
  const auto task = make_task(parameters(3, 4, 3, R"(, "mixed": true)"));
  EXPECT_EQ(task->show(torch::tensor({5, 0, 2, 0}, torch::kInt64)), "1 hop: 0 2 0");
  EXPECT_EQ(task->show(torch::tensor({7, 0, 2, 0}, torch::kInt64)), "3 hops: 0 2 0");
}

// The strings do not depend on the step, and the labels are those of as many hops as the curriculum has
// reached.
TEST(KHopInduction, HopsRiseWithTheCurriculum) {
  const auto task = make_task(parameters(3, 4, 30, R"(, "curriculum": 100)"));
  const std::pair<int64_t, int64_t> stages[] = {{0, 1},   {99, 1},  {100, 2},       {199, 2},
                                                {200, 3}, {250, 3}, {final_step, 3}};
  for (const auto& [step, hops] : stages) {
    const auto now = task->sample(40, step, make_generator(1)),
               of_hops = sample_of(parameters(hops, 4, 30), 40);
    EXPECT_TRUE(torch::equal(now.tokens, of_hops.tokens));
    EXPECT_TRUE(torch::equal(now.labels, of_hops.labels)) << step;
  }
  const auto mixed = make_task(parameters(3, 4, 30, R"(, "curriculum": 100, "mixed": true)"));
  for (const auto& [step, hops] : stages)
    EXPECT_EQ(mixed->sample(400, step, make_generator(1)).tokens.select(1, 0).max().item<int64_t>(),
              4 + hops);
  // What is scored is the end of the curriculum.
  EXPECT_TRUE(
      torch::equal(task->split(make_generator(1)).test.labels, split_of(parameters(3, 4, 30)).test.labels));
}

TEST(KHopInduction, TrainsOnAsManyStringsAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(KHopInduction, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(KHopInduction, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(KHopInduction, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"vocabulary": 3, "length": 3, "n_train": 13})"),
            "training would have 13 of the 12 strings that exist");
  EXPECT_EQ(refusal(R"({"vocabulary": 3, "length": 3, "k": 1, "mixed": true, "n_train": 24})"), "");
  EXPECT_EQ(refusal(R"({"curriculum": 100, "n_train": 50})"),
            "curriculum = 100 steps, but the n_train = 50 training strings are drawn once");
  for (const std::string json : {R"({"vocabulary": 2})", R"({"length": 1})", R"({"k": -1})", R"({"k": 33})",
                                 R"({"read_out": "first"})", R"({"curriculum": -1})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
