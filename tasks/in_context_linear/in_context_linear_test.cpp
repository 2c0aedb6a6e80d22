#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <set>

namespace orrery::testing {
namespace {

int64_t at(const torch::Tensor& x, int64_t row, int64_t column) { return x[row][column].item<int64_t>(); }

// The functions (a, b) that go through all of x_1 y_1 ... of one row, the label included: tried one by one.
std::set<std::pair<int64_t, int64_t>> functions_through(const Batch& batch, int64_t row, int64_t p) {
  const int64_t m = batch.labels.size(1);
  std::set<std::pair<int64_t, int64_t>> fit;
  for (int64_t a = 0; a < p; ++a)
    for (int64_t b = 0; b < p; ++b) {
      bool all = true;
      for (int64_t i = 0; i < m; ++i)
        all = all && (a * at(batch.tokens, row, 2 * i) + b) % p == at(batch.labels, row, i);
      if (all) fit.insert({a, b});
    }
  return fit;
}

std::pair<int64_t, int64_t> hidden(const Batch& batch, int64_t row) {
  return {batch.auxiliary.at("a")[row].item<int64_t>(), batch.auxiliary.at("b")[row].item<int64_t>()};
}

TEST(InContextLinear, SpecReadsEveryX) {
  const auto spec = make_task(R"({"p": 11, "n_examples": 4})")->spec();
  EXPECT_EQ(spec.d_vocab, 11);
  EXPECT_EQ(spec.d_vocab_out, 11);
  EXPECT_EQ(spec.n_ctx, 7);
  EXPECT_EQ(spec.read_out, (std::vector<int64_t>{0, 2, 4, 6}));
  EXPECT_EQ(spec.groups, (std::vector<std::string>{"after_0", "after_1", "after_2", "after_3"}));
  EXPECT_TRUE(spec.endless);
  EXPECT_FALSE(make_task(R"({"n_train": 100})")->spec().endless);
}

TEST(InContextLinear, EveryAnswerIsThatOfTheOneFunctionThroughTheExamples) {
  for (const std::string more : {"", R"(, "repeats": true)", R"(, "n_train": 200)"}) {
    const std::string json = R"({"p": 11, "n_examples": 5, "n_test": 100)" + more + "}";
    const auto split = split_of(json);
    const auto drawn = sample_of(json, 200);
    for (const Batch& batch : {split.train, split.test, drawn})
      for (int64_t row = 0; row < batch.size(); ++row) {
        std::set<int64_t> x;
        for (int64_t i = 0; i < 5; ++i) {
          x.insert(at(batch.tokens, row, 2 * i));
          if (i < 4) {
            ASSERT_EQ(at(batch.tokens, row, 2 * i + 1), at(batch.labels, row, i));
          }
        }
        const auto fit = functions_through(batch, row, 11);
        ASSERT_EQ(fit.count(hidden(batch, row)), 1u) << json;
        if (x.size() > 1) {
          ASSERT_EQ(fit.size(), 1u);
        }
        if (json.find("repeats") == std::string::npos) {
          ASSERT_EQ(x.size(), 5u);
        }
      }
  }
}

TEST(InContextLinear, TheExampleOfTheReadme) {
  const auto task = make_task(R"({"p": 7, "n_examples": 3, "n_test": 60000})");
  const auto tokens = torch::tensor({1, 5, 4, 0, 6}, torch::kInt64);
  EXPECT_EQ(task->show(tokens), "1->5 4->0 6->?");
  const auto split = task->split(make_generator(1));
  int64_t seen = 0;
  for (const Batch& batch : {split.train, split.test})
    for (int64_t row = 0; row < batch.size(); ++row)
      if (torch::equal(batch.tokens[row], tokens)) {
        EXPECT_EQ(at(batch.labels, row, 2), 6);
        EXPECT_EQ(hidden(batch, row), (std::pair<int64_t, int64_t>{3, 2}));
        ++seen;
      }
  EXPECT_GT(seen, 0);
}

TEST(InContextLinear, TestedFunctionsAreNeverTrainedOn) {
  for (const std::string more : {"", R"(, "n_train": 3000)"}) {
    const std::string json =
        R"({"p": 7, "n_examples": 4, "n_train_functions": 30, "n_test": 2000)" + more + "}";
    const auto split = split_of(json);
    std::set<std::pair<int64_t, int64_t>> trained, tested;
    const auto drawn = sample_of(json, 2000, 7);
    for (const Batch& batch : {split.train, drawn})
      for (int64_t row = 0; row < batch.size(); ++row) trained.insert(hidden(batch, row));
    for (int64_t row = 0; row < 2000; ++row) tested.insert(hidden(split.test, row));
    EXPECT_EQ(trained.size(), 30u);
    EXPECT_EQ(tested.size(), 19u);
    for (const auto& function : tested) EXPECT_EQ(trained.count(function), 0u);
  }
  // 0.28 * 25 is 7.000000000000001 or 6.999999999999999: seven functions.
  const auto few = sample_of(R"({"p": 5, "n_examples": 3, "train_fraction": 0.28})", 500);
  std::set<std::pair<int64_t, int64_t>> functions;
  for (int64_t row = 0; row < 500; ++row) functions.insert(hidden(few, row));
  EXPECT_EQ(functions.size(), 7u);
}

TEST(InContextLinear, LabelsCountFromTheGivenExampleOn) {
  for (const int64_t from : {0, 2, 7}) {
    const auto batch = sample_of(R"({"scored_from": )" + std::to_string(from) + "}", 20);
    for (int64_t row = 0; row < 20; ++row)
      for (int64_t i = 0; i < 8; ++i) {
        EXPECT_EQ(batch.scored[row][i].item<bool>(), i >= from);
        EXPECT_EQ(at(batch.groups, row, i), i);
      }
  }
}

TEST(InContextLinear, FunctionsAndNumbersAreUniform) {
  const auto batch = sample_of(R"({"p": 7, "n_examples": 4, "n_train_functions": 48})", 40000);
  const auto function = batch.auxiliary.at("a") * 7 + batch.auxiliary.at("b");
  const auto counts = torch::bincount(function, {}, 49);
  const double expected = 40000.0 / 48, bound = 6 * std::sqrt(expected);
  int64_t held_out = 0;
  for (int64_t i = 0; i < 49; ++i) {
    if (counts[i].item<int64_t>() == 0)
      ++held_out;
    else
      EXPECT_NEAR(counts[i].item<double>(), expected, bound);
  }
  EXPECT_EQ(held_out, 1);
  for (const int64_t i : {0, 2, 6}) expect_uniform(batch.tokens.select(1, i), 7);
  // The ordered pairs of different x.
  const auto first = batch.tokens.select(1, 0), second = batch.tokens.select(1, 2);
  expect_uniform(first * 6 + second - (second > first).to(torch::kInt64), 42);
}

TEST(InContextLinear, TheFunctionsHaveTheirOwnSeed) {
  const auto functions = [](const std::string& json, uint64_t seed) {
    const auto batch = sample_of(json, 3000, seed);
    std::set<std::pair<int64_t, int64_t>> all;
    for (int64_t row = 0; row < 3000; ++row) all.insert(hidden(batch, row));
    return all;
  };
  const std::string json = R"({"p": 7, "n_examples": 3, "n_train_functions": 25)";
  EXPECT_EQ(functions(json + "}", 1), functions(json + "}", 2));
  EXPECT_NE(functions(json + "}", 1), functions(json + R"(, "functions_seed": 1})", 1));
}

TEST(InContextLinear, LastAccuracyIsThatOfTheLastAnswer) {
  const auto task = make_task(R"({"n_test": 10})");
  const auto test = task->split(make_generator(1)).test;
  const auto logits = torch::zeros({10, 8, 29});
  for (int64_t row = 0; row < 3; ++row) logits[row][7][at(test.labels, row, 7)] = 1;
  for (int64_t row = 3; row < 10; ++row) logits[row][7][(at(test.labels, row, 7) + 1) % 29] = 1;
  EXPECT_DOUBLE_EQ(task->metrics(logits, test)[0], 0.3);
}

TEST(InContextLinear, TrainsOnAsManySequencesAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(InContextLinear, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(InContextLinear, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(InContextLinear, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"p": 9})"), "p = 9 is no prime, so two examples need not determine a function");
  EXPECT_EQ(refusal(R"({"p": 7, "n_examples": 8})"), "n_examples = 8 different x, but there are only p = 7");
  EXPECT_EQ(refusal(R"({"p": 7, "n_examples": 8, "repeats": true})"), "");
  EXPECT_EQ(refusal(R"({"scored_from": 8})"),
            "scored_from = 8 examples before a label counts, but 7 come before the last");
  EXPECT_EQ(refusal(R"({"p": 5, "n_examples": 3, "n_train_functions": 25})"),
            "training would have 25 of the p^2 = 25 functions");
  EXPECT_EQ(refusal(R"({"train_fraction": 0})"), "training would have 0 of the p^2 = 841 functions");
  EXPECT_EQ(refusal(R"({"p": 5, "n_examples": 3, "n_train_functions": 2, "n_train": 121})"),
            "training would have 121 of the 120 sequences that exist");
  for (const std::string json : {R"({"p": 2})", R"({"n_examples": 2})", R"({"n_test": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
