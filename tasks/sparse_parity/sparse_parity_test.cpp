#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/plugin_under_test.h>

#include <set>

namespace orrery::testing {
namespace {

Split split_of(const std::string& json, uint64_t seed = 1) {
  return make_task(json)->split(make_generator(seed));
}

std::vector<int64_t> relevant(const std::string& json) {
  return make_task(json)->structure().relevant_positions->positions;
}

std::string refusal(const std::string& json) {
  try {
    make_task(json);
    return "";
  } catch (const UsageError& error) {
    EXPECT_NE(error.hint(), "");
    return error.what();
  }
}

std::vector<int64_t> numbers(const torch::Tensor& row) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < row.size(0); ++i) all.push_back(row[i].item<int64_t>());
  return all;
}

TEST(SparseParity, SpecIsThatOfTheReadOut) {
  const auto two = make_task()->spec();
  EXPECT_EQ(two.d_vocab, 2);
  EXPECT_EQ(two.d_vocab_out, 2);
  EXPECT_EQ(two.n_ctx, 30);
  EXPECT_EQ(two.read_out, std::vector<int64_t>{29});
  EXPECT_EQ(two.loss, Loss::cross_entropy);
  const auto one = make_task(R"({"n": 40, "read_out": "single_logit"})")->spec();
  EXPECT_EQ(one.d_vocab_out, 1);
  EXPECT_EQ(one.read_out, std::vector<int64_t>{39});
  EXPECT_EQ(one.loss, Loss::hinge);
  const auto column = make_task(R"({"read_out": "single_logit_logistic"})")->spec();
  EXPECT_EQ(column.d_vocab_out, 1);
  EXPECT_EQ(column.loss, Loss::logistic);
}

TEST(SparseParity, TheLabelIsTheParityOfTheRelevantBits) {
  for (const std::string json : {R"({"n_test": 200})", R"({"n": 9, "k": 4, "n_train": 300, "n_test": 100})",
                                 R"({"n": 70, "k": 2, "positions": [69, 0], "n_test": 50})",
                                 R"({"n": 5, "k": 5, "n_train": 20, "n_test": 12})",
                                 R"({"n": 25, "k": 1, "n_test": 50, "read_out": "single_logit"})"}) {
    const auto positions = relevant(json);
    const auto split = split_of(json);
    for (const Batch& batch : {split.train, split.test}) {
      EXPECT_EQ(batch.tokens.scalar_type(), torch::kInt64);
      EXPECT_EQ(batch.labels.sizes(), (std::vector<int64_t>{batch.size(), 1}));
      for (int64_t row = 0; row < batch.size(); ++row) {
        const auto bits = numbers(batch.tokens[row]);
        bool odd = false;
        for (const int64_t position : positions) odd = odd != (bits[position] == 1);
        EXPECT_EQ(batch.labels[row][0].item<int64_t>(), odd ? 1 : 0) << json;
      }
    }
  }
}

TEST(SparseParity, TheExampleOfTheReadme) {
  const std::string json = R"({"n": 6, "positions": [5, 0, 2], "n_train": 60, "n_test": 4})";
  EXPECT_EQ(relevant(json), (std::vector<int64_t>{0, 2, 5}));
  const auto split = split_of(json);
  int64_t seen = 0;
  for (const Batch& batch : {split.train, split.test})
    for (int64_t row = 0; row < batch.size(); ++row) {
      const auto bits = numbers(batch.tokens[row]);
      const bool even = bits == std::vector<int64_t>{1, 1, 1, 0, 0, 0};
      const bool odd = bits == std::vector<int64_t>{1, 1, 0, 0, 0, 0};
      if (!even && !odd) continue;
      EXPECT_EQ(batch.labels[row][0].item<int64_t>(), odd ? 1 : 0);
      ++seen;
    }
  EXPECT_EQ(seen, 2);  // all 64 strings are there
  EXPECT_EQ(make_task(json)->show(torch::tensor({1, 1, 1, 0, 0, 0}, torch::kInt64)), "[1]1[1]00[0]");
}

TEST(SparseParity, NoStringTwice) {
  for (const std::string json : {R"({})", R"({"n": 12, "n_train": 4000, "n_test": 96})",
                                 R"({"n": 21, "n_train": 60000, "n_test": 60000})"}) {
    const auto split = split_of(json);
    std::set<std::vector<bool>> seen;
    for (const Batch& batch : {split.train, split.test}) {
      const auto* bits = batch.tokens.data_ptr<int64_t>();
      const int64_t n = batch.tokens.size(1);
      for (int64_t row = 0; row < batch.size(); ++row)
        seen.insert(std::vector<bool>(bits + row * n, bits + (row + 1) * n));
    }
    EXPECT_EQ(int64_t(seen.size()), split.train.size() + split.test.size());
  }
  EXPECT_EQ(split_of("{}").train.size(), 1000);
  EXPECT_EQ(split_of("{}").test.size(), 5000);
  for (const std::string n : {"30", "12"}) {
    const auto none = split_of("{\"n\": " + n + ", \"n_test\": 0}").test;
    EXPECT_EQ(none.tokens.sizes(), (std::vector<int64_t>{0, std::stoll(n)}));
    EXPECT_EQ(none.labels.sizes(), (std::vector<int64_t>{0, 1}));
  }
}

// Each bit is a fair coin, and pairs of neighbours are independent: within six standard deviations.
TEST(SparseParity, BitsAreUniform) {
  for (const std::string json : {R"({"n": 30, "n_train": 40000})", R"({"n": 16, "n_train": 40000})"}) {
    const auto bits = split_of(json).train.tokens.to(torch::kFloat64);
    EXPECT_EQ(bits.min().item<double>(), 0);
    EXPECT_EQ(bits.max().item<double>(), 1);
    EXPECT_LT((bits.mean(0) - 0.5).abs().max().item<double>(), 6 * 0.5 / 200);
    const auto both = bits.narrow(1, 0, bits.size(1) - 1) * bits.narrow(1, 1, bits.size(1) - 1);
    EXPECT_LT((both.mean(0) - 0.25).abs().max().item<double>(), 6 * 0.44 / 200);
  }
}

TEST(SparseParity, TheSeedDecidesTheStringsAndNotThePositions) {
  for (const std::string n : {"30", "15"}) {
    const std::string json = "{\"n\": " + n + "}";
    const auto one = split_of(json, 1), again = split_of(json, 1), two = split_of(json, 2);
    EXPECT_TRUE(torch::equal(one.train.tokens, again.train.tokens));
    EXPECT_TRUE(torch::equal(one.test.tokens, again.test.tokens));
    EXPECT_FALSE(torch::equal(one.train.tokens, two.train.tokens));
    const auto fewer = split_of("{\"n\": " + n + ", \"n_test\": 10}", 1);
    EXPECT_TRUE(torch::equal(one.train.tokens, fewer.train.tokens));
    EXPECT_TRUE(torch::equal(one.test.tokens.narrow(0, 0, 10), fewer.test.tokens));
  }
}

// The sets that are scored are those of finite data; what is trained on comes from sample().
TEST(SparseParity, EndlessDataAreFreshStrings) {
  for (const std::string n : {"30", "12"}) {
    const std::string json = "{\"n\": " + n + ", \"endless\": true, \"n_train\": 64, \"n_test\": 32}";
    EXPECT_TRUE(make_task(json)->spec().endless);
    const auto split = split_of(json),
               finite = split_of("{\"n\": " + n + ", \"n_train\": 64, \"n_test\": 32}");
    EXPECT_TRUE(torch::equal(split.train.tokens, finite.train.tokens));
    EXPECT_TRUE(torch::equal(split.test.tokens, finite.test.tokens));
  }
  EXPECT_FALSE(make_task()->spec().endless);

  const std::string json =
      R"({"n": 10, "k": 3, "positions": [1, 4, 9], "endless": true, "n_train": 8, "n_test": 8})";
  const auto task = make_task(json);
  auto rng = make_generator(3);
  std::set<std::vector<int64_t>> seen;
  for (int64_t step = 0; step < 40; ++step) {
    const auto batch = task->sample(100, step, rng);
    ASSERT_EQ(batch.size(), 100);
    for (int64_t row = 0; row < 100; ++row) {
      const auto bits = numbers(batch.tokens[row]);
      EXPECT_EQ(batch.labels[row][0].item<int64_t>(), bits[1] ^ bits[4] ^ bits[9]);
      seen.insert(bits);
    }
  }
  // 1,024 (1 - e^(-4000 / 1024)) = 1,003 of the 1,024 strings, give or take four.
  EXPECT_GT(seen.size(), 975u);
  EXPECT_TRUE(torch::equal(task->sample(50, 0, make_generator(5)).tokens,
                           task->sample(50, 7, make_generator(5)).tokens));
}

TEST(SparseParity, PositionsAreDrawnFromTheirOwnSeed) {
  EXPECT_EQ(relevant("{}"), relevant(R"({"n_train": 7})"));
  std::set<std::vector<int64_t>> seen;
  std::set<int64_t> used;
  for (int64_t seed = 0; seed < 60; ++seed) {
    const auto positions = relevant(
        "{\"n\": 8, \"n_train\": 10, \"n_test\": 10, \"positions_seed\": " + std::to_string(seed) + "}");
    ASSERT_EQ(positions.size(), 3u);
    EXPECT_LT(positions[0], positions[1]);
    EXPECT_LT(positions[1], positions[2]);
    seen.insert(positions);
    used.insert(positions.begin(), positions.end());
  }
  EXPECT_GT(seen.size(), 20u);  // of 56
  EXPECT_EQ(used, (std::set<int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(relevant(R"({"positions": [29, 4, 11]})"), (std::vector<int64_t>{4, 11, 29}));
}

TEST(SparseParity, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"n": 4, "k": 5})"), "k = 5 relevant bits, but a string has only n = 4 bits");
  EXPECT_EQ(refusal(R"({"positions": [0, 1]})"), "k = 3, and positions = [0, 1] lists 2");
  EXPECT_EQ(refusal(R"({"positions": [4, 1, 4]})"), "positions = [4, 1, 4] lists a position twice");
  EXPECT_EQ(refusal(R"({"positions": [0, 1, 30]})"),
            "positions = [0, 1, 30] is not within a string of n = 30 bits");
  EXPECT_EQ(refusal(R"({"n": 10, "n_train": 1000, "n_test": 25})"),
            "n_train + n_test = 1025 strings, but there are only 2^10 = 1024");
  EXPECT_EQ(refusal(R"({"n": 10, "n_train": 1000, "n_test": 24})"), "");
  EXPECT_THROW(make_task(R"({"positions": [0, -1, 2]})"), Error);
  EXPECT_THROW(make_task(R"({"k": 0})"), Error);
  EXPECT_THROW(make_task(R"({"n": 0})"), Error);
  EXPECT_THROW(make_task(R"({"read_out": "three"})"), Error);
}

TEST(SparseParity, CorruptsByOneRelevantBit) {
  for (const std::string json :
       {R"({"n": 12, "positions": [1, 4, 7], "k": 3, "n_train": 300, "n_test": 20})",
        R"({"n": 12, "positions": [2], "k": 1, "n_train": 300, "n_test": 20, "read_out": "single_logit"})"}) {
    const auto task = make_task(json);
    const Batch clean = task->split(make_generator(1)).train;
    const Batch partners = task->corrupt(clean, make_generator(2));
    EXPECT_TRUE((partners.tokens != clean.tokens).sum(1).eq(1).all().item<bool>());
    EXPECT_TRUE(partners.labels.equal(1 - clean.labels));
    std::set<int64_t> flipped;
    for (int64_t row = 0; row < clean.size(); ++row)
      flipped.insert((partners.tokens[row] != clean.tokens[row]).nonzero().item<int64_t>());
    const auto positions = relevant(json);
    EXPECT_EQ(flipped, std::set<int64_t>(positions.begin(), positions.end()));
  }
}

}  // namespace
}  // namespace orrery::testing
