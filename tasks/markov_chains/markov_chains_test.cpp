#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <cmath>
#include <map>
#include <set>

namespace orrery::testing {
namespace {

using torch::Tensor;
using Reals = std::vector<double>;

Tensor row_numbers(std::vector<int64_t> rows) { return torch::tensor(rows, torch::kInt64); }

int64_t at(const Tensor& x, int64_t row, int64_t column) { return x[row][column].item<int64_t>(); }

// What the chain of one example says of the token after `position`, read off kl_chain, which is
// linear in it: a logit of 1 for token s at this position changes the mean over L positions by
// (log((e + v - 1) / v) - p_s) / L.
Reals chain_at(const Task& task, const Batch& example, int64_t position) {
  const auto spec = task.spec();
  const int64_t v = spec.d_vocab, length = spec.n_ctx;
  const bool fixed = !spec.groups.empty();
  const int64_t column = fixed ? 6 + example.groups[0][0].item<int64_t>() : 3;
  const auto plain = torch::zeros({1, length, v});
  const double before = task.metrics(plain, example)[column];
  Reals p;
  for (int64_t s = 0; s < v; ++s) {
    const auto logits = plain.clone();
    logits[0][position][s] = 1;
    const double change = task.metrics(logits, example)[column] - before;
    p.push_back(std::log((std::exp(1.0) + static_cast<double>(v) - 1) / static_cast<double>(v)) -
                static_cast<double>(length) * change);
  }
  return p;
}

// KL(p || q) in nats, q given by its logits.
double divergence(const Reals& p, const Tensor& logits) {
  const auto log_q = logits.to(torch::kFloat64).log_softmax(0);
  double sum = 0;
  for (size_t s = 0; s < p.size(); ++s)
    if (p[s] > 0) sum += p[s] * (std::log(p[s]) - log_q[s].item<double>());
  return sum;
}

// Counted from the start for every position: token s among all so far, or behind earlier tokens like this
// one.
Reals unigram(const Batch& batch, int64_t row, int64_t position, int64_t v, double alpha) {
  Reals p(v, 0.0);
  for (int64_t s = 0; s < v; ++s) {
    double count = alpha;
    for (int64_t i = 0; i <= position; ++i) count += at(batch.tokens, row, i) == s;
    p[s] = count / (static_cast<double>(position) + 1 + static_cast<double>(v) * alpha);
  }
  return p;
}
Reals bigram(const Batch& batch, int64_t row, int64_t position, int64_t v, double alpha) {
  Reals p(v, 0.0);
  double all = static_cast<double>(v) * alpha;
  for (int64_t i = 0; i < position; ++i) all += at(batch.tokens, row, i) == at(batch.tokens, row, position);
  for (int64_t s = 0; s < v; ++s) {
    double count = alpha;
    for (int64_t i = 0; i < position; ++i)
      count +=
          at(batch.tokens, row, i) == at(batch.tokens, row, position) && at(batch.tokens, row, i + 1) == s;
    p[s] = count / all;
  }
  return p;
}

TEST(MarkovChains, SpecPredictsEveryNextToken) {
  const auto spec = make_task(R"({"vocabulary": 5, "length": 20})")->spec();
  EXPECT_EQ(spec.d_vocab, 5);
  EXPECT_EQ(spec.d_vocab_out, 5);
  EXPECT_EQ(spec.n_ctx, 20);
  ASSERT_EQ(spec.read_out.size(), 20u);
  EXPECT_TRUE(spec.groups.empty());
  EXPECT_EQ(spec.metrics, (std::vector<std::string>{"kl_uniform", "kl_unigram", "kl_bigram", "kl_chain"}));
  EXPECT_TRUE(spec.endless);
  const auto fixed = make_task(R"({"n_chains": 4})")->spec();
  EXPECT_EQ(fixed.groups, (std::vector<std::string>{"seen_chains", "fresh_chains"}));
  EXPECT_EQ(fixed.metrics[2], "kl_unigram/seen_chains");
  EXPECT_EQ(fixed.metrics[7], "kl_chain/fresh_chains");
}

TEST(MarkovChains, LabelsAreTheNextTokens) {
  const auto batch = sample_of("{}", 50);
  EXPECT_TRUE(torch::equal(batch.labels.narrow(1, 0, 99), batch.tokens.narrow(1, 1, 99)));
}

// The sequence of the README, and a network that says what it says there: the bigram statistics.
TEST(MarkovChains, TheExampleOfTheReadme) {
  const auto task = make_task(R"({"vocabulary": 2, "length": 6})");
  Batch example{.tokens = torch::tensor({{0, 1, 0, 0, 1, 0}}, torch::kInt64),
                .labels = torch::tensor({{1, 0, 0, 1, 0, 1}}, torch::kInt64),
                .auxiliary = {{"chain", row_numbers({7})}}};
  const Reals of_one = {1. / 2, 1. / 2, 2. / 3, 1. / 2, 1. / 3, 3. / 5};  // by bigrams
  const auto logits = torch::zeros({1, 6, 2});
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(bigram(example, 0, i, 2, 1)[1], of_one[i], 1e-15) << i;
    logits[0][i][1] = std::log(of_one[i] / (1 - of_one[i]));
  }
  EXPECT_NEAR(unigram(example, 0, 5, 2, 1)[1], 3. / 8, 1e-15);
  const auto metrics = task->metrics(logits, example);
  EXPECT_NEAR(metrics[2], 0, 1e-12);
  EXPECT_GT(metrics[1], 0.01);
  EXPECT_NEAR(task->metrics(torch::zeros({1, 6, 2}), example)[0], 0, 1e-12);
}

TEST(MarkovChains, DivergencesAreThoseFoundByCounting) {
  for (const double alpha : {1.0, 0.3}) {
    const std::string json =
        R"({"vocabulary": 4, "length": 30, "n_test": 8, "concentration": )" + std::to_string(alpha) + "}";
    const auto task = make_task(json);
    const auto test = task->split(make_generator(3)).test;
    const auto logits = torch::randn({8, 30, 4}, make_generator(1));
    double sums[4] = {0, 0, 0, 0};
    for (int64_t row = 0; row < 8; ++row)
      for (int64_t i = 0; i < 30; ++i) {
        const Reals references[4] = {Reals(4, 0.25), unigram(test, row, i, 4, alpha),
                                     bigram(test, row, i, 4, alpha),
                                     chain_at(*task, test.rows(row_numbers({row})), i)};
        for (int64_t m = 0; m < 4; ++m) sums[m] += divergence(references[m], logits[row][i]) / 240;
      }
    const auto metrics = task->metrics(logits, test);
    for (int64_t m = 0; m < 4; ++m) EXPECT_NEAR(metrics[m], sums[m], 1e-6) << m;
  }
}

// With one chain trained on: its matrix, against how often tokens follow each other.
Tensor expect_followed(const Task& task, const Batch& batch) {
  const auto pairs = torch::bincount((batch.tokens * 3 + batch.labels).flatten(), {}, 9).reshape({3, 3});
  const auto matrix = torch::zeros({3, 3}, torch::kFloat64);
  std::set<int64_t> met;
  for (int64_t row = 0; met.size() < 3; ++row)
    for (int64_t i = 0; i < batch.tokens.size(1); ++i) {
      const int64_t state = at(batch.tokens, row, i);
      if (!met.insert(state).second) continue;
      const Reals p = chain_at(task, batch.rows(row_numbers({row})), i);
      const double n = pairs[state].sum().item<double>();
      for (int64_t s = 0; s < 3; ++s) {
        EXPECT_NEAR(pairs[state][s].item<double>(), n * p[s], 6 * std::sqrt(n * p[s] * (1 - p[s])) + 1e-3);
        matrix[state][s] = p[s];
      }
      EXPECT_NEAR(matrix[state].sum().item<double>(), 1, 1e-9);
    }
  return matrix;
}

// And its stationary distribution, by multiplication, against the tokens at the first and at a later
// position.
TEST(MarkovChains, SequencesFollowTheirChain) {
  for (const std::string seed : {"1", "2", "3", "4", "5"}) {
    SCOPED_TRACE(seed);
    const auto task =
        make_task(R"({"vocabulary": 3, "length": 12, "n_chains": 1, "chains_seed": )" + seed + "}");
    const auto batch = task->sample(8000, 0, make_generator(2));
    auto power = expect_followed(*task, batch);
    for (int i = 0; i < 10; ++i) power = power.matmul(power);
    for (const int64_t position : {0, 11}) {
      const auto counts = torch::bincount(batch.tokens.select(1, position), {}, 3);
      for (int64_t s = 0; s < 3; ++s) {
        const double p = power[0][s].item<double>();
        EXPECT_NEAR(counts[s].item<double>(), 8000 * p, 6 * std::sqrt(8000 * p * (1 - p)))
            << position << " " << s;
      }
    }
  }
}

// A Dirichlet row of two states is Beta(alpha, alpha): mean 1/2, variance 1 / (4 (2 alpha + 1)).
TEST(MarkovChains, RowsAreDirichlet) {
  const auto task = make_task(R"({"vocabulary": 2, "length": 40, "concentration": 5})");
  const auto batch = task->sample(1500, 0, make_generator(4));
  double sum = 0, squares = 0, n = 0;
  for (int64_t row = 0; row < batch.size(); ++row) {
    int64_t first = 0;  // of state 0, which nearly every sequence comes by
    while (first < 39 && at(batch.tokens, row, first) != 0) ++first;
    if (at(batch.tokens, row, first) != 0) continue;
    const double p = chain_at(*task, batch.rows(row_numbers({row})), first)[0];
    sum += p;
    squares += (p - 0.5) * (p - 0.5);
    ++n;
  }
  EXPECT_GT(n, 1490);
  const double variance = 1.0 / 44;
  EXPECT_NEAR(sum / n, 0.5, 6 * std::sqrt(variance / n));
  EXPECT_NEAR(squares / n, variance, 6 * variance * std::sqrt(2 / n));
}

TEST(MarkovChains, TheTestSetHasFreshChainsAndSeenOnes) {
  const std::string json = R"({"n_chains": 6, "n_test": 41, "length": 30)";
  std::set<int64_t> trained;
  const auto drawn = sample_of(json + "}", 400);
  for (int64_t row = 0; row < 400; ++row) trained.insert(drawn.auxiliary.at("chain")[row].item<int64_t>());
  EXPECT_EQ(trained.size(), 6u);
  for (const std::string more : {"}", R"(, "n_train": 60})"}) {
    const auto split = split_of(json + more, 3);
    for (int64_t row = 0; row < split.train.size(); ++row) {
      EXPECT_EQ(trained.count(split.train.auxiliary.at("chain")[row].item<int64_t>()), 1u);
      EXPECT_EQ(at(split.train.groups, row, 0), 0);
    }
    std::set<int64_t> fresh;
    for (int64_t row = 0; row < 41; ++row) {
      const int64_t chain = split.test.auxiliary.at("chain")[row].item<int64_t>();
      EXPECT_EQ(trained.count(chain), row < 21 ? 0u : 1u);
      if (row < 21) fresh.insert(chain);
      for (const int64_t i : {0, 29}) EXPECT_EQ(at(split.test.groups, row, i), row < 21 ? 1 : 0);
    }
    EXPECT_EQ(fresh.size(), 21u);
  }
  EXPECT_NE(drawn.auxiliary.at("chain").max().item<int64_t>(),
            sample_of(json + R"(, "chains_seed": 1})", 400).auxiliary.at("chain").max().item<int64_t>());
}

// Of each group alone the metrics are those of the task without groups; of a group without examples, NaN.
TEST(MarkovChains, MetricsAreOfEachGroup) {
  const auto fixed = make_task(R"({"n_chains": 3, "n_test": 20, "length": 15})"),
             plain = make_task(R"({"length": 15})");
  const auto split = fixed->split(make_generator(1));
  const auto logits = torch::randn({20, 15, 3}, make_generator(2));
  const auto together = fixed->metrics(logits, split.test), train = fixed->metrics(logits, split.train);
  const auto fresh =
      plain->metrics(logits.narrow(0, 0, 10), split.test.rows(torch::arange(0, 10, torch::kInt64)));
  const auto seen =
      plain->metrics(logits.narrow(0, 10, 10), split.test.rows(torch::arange(10, 20, torch::kInt64)));
  ASSERT_EQ(together.size(), 8u);
  for (int64_t m = 0; m < 4; ++m) {
    EXPECT_NEAR(together[2 * m], seen[m], 1e-12);
    EXPECT_NEAR(together[2 * m + 1], fresh[m], 1e-12);
    EXPECT_FALSE(std::isnan(train[2 * m]));
    EXPECT_TRUE(std::isnan(train[2 * m + 1]));
  }
}

TEST(MarkovChains, TrainsOnAsManySequencesAsAsked) { expect_as_many_as_asked(100, 300); }

TEST(MarkovChains, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(MarkovChains, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(MarkovChains, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"vocabulary": 2, "length": 3, "n_train": 9})"),
            "training would have 9 of the 8 sequences that exist");
  for (const std::string json : {R"({"vocabulary": 1})", R"({"length": 0})", R"({"concentration": 0})",
                                 R"({"n_chains": -1})", R"({"n_test": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
