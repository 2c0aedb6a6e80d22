#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <utility>

namespace orrery::testing {
namespace {

using torch::Tensor;

Recorder measured(Network& network) {
  Recorder recorder;
  make_probe()->measure(network.observe(), recorder);
  return recorder;
}

// A network whose largest logit is 5 at the class `answer` gives for the row of each pair, 0 elsewhere.
void answer(Network& network, const std::function<int64_t(int64_t row, int64_t a, int64_t b)>& of) {
  const Tensor tokens = network.task.split.grid->tokens;
  network.logits = torch::zeros({tokens.size(0), 1, network.task.spec.d_vocab_out});
  for (int64_t row = 0; row < tokens.size(0); ++row)
    network.logits[row][0][of(row, tokens[row][0].item<int64_t>(), tokens[row][1].item<int64_t>())] = 5;
}

std::set<std::pair<int64_t, int64_t>> trained_pairs(const CyclicTask& task) {
  std::set<std::pair<int64_t, int64_t>> pairs;
  for (int64_t i = 0; i < task.split.train_rows.size(0); ++i) {
    const Tensor tokens = task.split.grid->tokens[task.split.train_rows[i].item<int64_t>()];
    pairs.emplace(tokens[0].item<int64_t>(), tokens[1].item<int64_t>());
  }
  return pairs;
}

TEST(MirroredPairs, TellsTheTwoMemorisationsApart) {
  const int64_t p = 11;
  Network network(addition(p));
  const auto trained = trained_pairs(network.task);
  const double right = std::log1p((p - 1) * std::exp(-5.0)), wrong = right + 5;

  answer(network, [&](int64_t, int64_t a, int64_t b) {
    return trained.contains({a, b}) || trained.contains({b, a}) ? (a + b) % p : (a + b + 1) % p;
  });
  const auto commutative = measured(network);
  EXPECT_EQ(scalar(commutative, "accuracy/mirrored"), 1);
  EXPECT_EQ(scalar(commutative, "accuracy/unmirrored"), 0);
  EXPECT_EQ(scalar(commutative, "accuracy/difference"), 1);
  EXPECT_NEAR(scalar(commutative, "loss/mirrored"), right, 1e-6);
  EXPECT_NEAR(scalar(commutative, "loss/unmirrored"), wrong, 1e-6);
  EXPECT_NEAR(scalar(commutative, "loss/difference"), -5, 1e-6);
  EXPECT_EQ(scalar(commutative, "same_answer"), 1);
  EXPECT_EQ(commutative.record().headlines, std::vector<std::string>{"accuracy/difference"});

  answer(network, [&](int64_t, int64_t a, int64_t b) {
    return trained.contains({a, b}) ? (a + b) % p : (a + b + (a < b ? 1 : 2)) % p;
  });
  const auto by_order = measured(network);
  EXPECT_EQ(scalar(by_order, "accuracy/mirrored"), 0);
  EXPECT_EQ(scalar(by_order, "accuracy/difference"), 0);
  EXPECT_EQ(scalar(by_order, "same_answer/untrained"), 0);

  answer(network, [&](int64_t, int64_t a, int64_t b) { return (a + b) % p; });
  const auto generalising = measured(network);
  EXPECT_EQ(scalar(generalising, "accuracy/unmirrored"), 1);
  EXPECT_EQ(scalar(generalising, "accuracy/difference"), 0);
}

// Noise, against counting by the definition.
TEST(MirroredPairs, AgreesWithItsDefinition) {
  const int64_t p = 9;
  Network network(addition(p));
  network.logits = torch::randn({p * p, 1, p}, make_generator(3));
  const auto recorder = measured(network);
  const auto trained = trained_pairs(network.task);
  const Tensor tokens = network.task.split.grid->tokens, best = network.logits.select(1, 0).argmax(1);
  std::map<std::pair<int64_t, int64_t>, int64_t> answers;
  for (int64_t row = 0; row < p * p; ++row)
    answers[{tokens[row][0].item<int64_t>(), tokens[row][1].item<int64_t>()}] = best[row].item<int64_t>();
  double mirrored = 0, right = 0, others = 0, others_right = 0, same = 0, unseen = 0, unseen_same = 0;
  for (const auto& [pair, given] : answers) {
    const auto [a, b] = pair;
    if (a == b) continue;
    const bool is_same = given == answers.at({b, a}), is_right = given == (a + b) % p;
    same += is_same;
    if (!trained.contains(pair) && !trained.contains({b, a})) ++unseen, unseen_same += is_same;
    if (trained.contains(pair)) continue;
    if (trained.contains({b, a}))
      ++mirrored, right += is_right;
    else
      ++others, others_right += is_right;
  }
  EXPECT_EQ(scalar(recorder, "pairs/mirrored"), mirrored);
  EXPECT_EQ(scalar(recorder, "pairs/unmirrored"), others);
  EXPECT_NEAR(scalar(recorder, "accuracy/mirrored"), right / mirrored, 1e-12);
  EXPECT_NEAR(scalar(recorder, "accuracy/unmirrored"), others_right / others, 1e-12);
  EXPECT_NEAR(scalar(recorder, "same_answer"), same / double(p * (p - 1)), 1e-12);
  EXPECT_NEAR(scalar(recorder, "same_answer/untrained"), unseen_same / unseen, 1e-12);
  EXPECT_NEAR(scalar(recorder, "same_answer/permuted"), 1.0 / p, 0.05);
}

TEST(MirroredPairs, SaysOfWhichPairTheTaskDoesNotCommute) {
  Network network(subtraction(7));
  network.logits = torch::zeros({49, 1, 7});
  try {
    measured(network);
    FAIL() << "subtraction commutes";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("the task is not commutative: the answer to ("),
              std::string::npos)
        << error.what();
  }
  network.task.split.grid.reset();
  Network without(addition(7));
  const Batch inputs = *without.task.split.grid;
  without.task.split.grid.reset();
  Recorder recorder;
  const Observation observation{0,      without.task.spec, without.task.structure, without.task.split,
                                inputs, without.model,     network.logits,         {}};
  EXPECT_THROW(make_probe()->measure(observation, recorder), UsageError);
}

// A task that trains and tests on a <= b: the mirror images are in neither set.
TEST(MirroredPairs, HasNoDifferenceWithoutMirrorImages) {
  Network network(addition(5));
  const Tensor tokens = network.task.split.grid->tokens;
  const Tensor upper = (tokens.select(1, 0) <= tokens.select(1, 1)).nonzero().flatten();
  network.task.split = Split::of_grid(*network.task.split.grid, upper.narrow(0, 0, 8), upper.narrow(0, 8, 7));
  network.logits = torch::zeros({25, 1, 5});
  const auto recorder = measured(network);
  EXPECT_EQ(scalar(recorder, "pairs/mirrored"), 0);
  EXPECT_GT(scalar(recorder, "pairs/unmirrored"), 0);
  EXPECT_FALSE(has_scalar(recorder, "accuracy/mirrored"));
  EXPECT_FALSE(has_scalar(recorder, "accuracy/difference"));
}

TEST(MirroredPairs, RefusesWhatHasNoPairs) {
  const auto needs = make_probe()->needs();
  GivenWeights model;
  TaskSpec spec{.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}};
  EXPECT_EQ(needs.refusal(model, spec), "");
  spec.read_out = {1, 2};
  EXPECT_NE(needs.refusal(model, spec), "");
  spec.read_out = {0};
  spec.n_ctx = 1;
  EXPECT_NE(needs.refusal(model, spec), "");
}

}  // namespace
}  // namespace orrery::testing
