// The grid laid out over a cyclic group, and the rules for key frequencies.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <tests/support/hand_built.h>

namespace orrery {
namespace {

using testing::addition;
using testing::CyclicTask;
using testing::multiplication;
using testing::Network;
using testing::subtraction;

std::string what_is_wrong(Network& network) {
  try {
    const auto observation = network.observe();
    CyclicView view(observation);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class LaidOut : public ::testing::TestWithParam<CyclicTask> {};
INSTANTIATE_TEST_SUITE_P(Tasks, LaidOut,
                         ::testing::Values(addition(7), addition(8), subtraction(7), multiplication(7, 3)));

TEST_P(LaidOut, EachCellHoldsThePairOfItsIndices) {
  Network network(GetParam());
  testing::build_noise(network, 5);
  const auto observation = network.observe();
  const CyclicView view(observation);
  const auto& cyclic = *network.task.structure.cyclic;
  const int64_t n = cyclic.order;
  ASSERT_EQ(view.order(), n);

  const auto tokens = view.inputs(network.task.split.grid->tokens);
  const auto labels = view.inputs(network.task.split.grid->labels);
  const auto numbers = torch::arange(network.task.spec.d_vocab, torch::kInt64);
  const auto classes = view.classes(numbers), left = view.left(numbers);
  ASSERT_EQ(tokens.size(0), n * n);
  for (int64_t i = 0; i < n; ++i) {
    EXPECT_EQ(cyclic.result[classes[i].item<int64_t>()], i);
    EXPECT_EQ(cyclic.left[left[i].item<int64_t>()], i);
    for (int64_t j = 0; j < n; ++j) {
      EXPECT_EQ(cyclic.left[tokens[i * n + j][0].item<int64_t>()], i);
      EXPECT_EQ(cyclic.right[tokens[i * n + j][1].item<int64_t>()], j);
      EXPECT_EQ(labels[i * n + j][0].item<int64_t>(), classes[(i + j) % n].item<int64_t>());
    }
  }
}

TEST_P(LaidOut, LossesAreThoseOfTheInputsWithAnIndex) {
  Network network(GetParam());
  testing::build_noise(network, 6);
  const auto observation = network.observe();
  const CyclicView view(observation);
  const auto& split = network.task.split;
  const auto losses = view.losses(view.logits());
  ASSERT_EQ(losses.size(), 3u);
  const auto all = torch::arange(split.grid->size(), torch::kInt64);
  const std::vector<std::pair<std::string, torch::Tensor>> sets{
      {"train", split.train_rows}, {"test", split.test_rows}, {"all", all}};
  for (size_t s = 0; s < sets.size(); ++s) {
    EXPECT_EQ(losses[s].first, sets[s].first);
    EXPECT_NEAR(losses[s].second, plain_loss(network, with_index(network.task, sets[s].second)), 1e-12);
  }
}

TEST(CyclicView, ASetWithoutInputsHasNoLoss) {
  Network network(addition(5));
  const auto everything = torch::arange(25, torch::kInt64);
  network.task.split = Split::of_grid(*network.task.split.grid, everything, everything.narrow(0, 0, 0));
  testing::build_noise(network, 5);
  const auto observation = network.observe();
  const CyclicView view(observation);
  const auto losses = view.losses(view.logits());
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_EQ(losses[0].first, "train");
  EXPECT_EQ(losses[1].first, "all");
}

TEST(CyclicView, ColumnsBeyondTheClassesAreNoAnswers) {
  Network network(addition(5));
  testing::build_noise(network, 5);
  const auto plain = plain_loss(network, with_index(network.task, torch::arange(25, torch::kInt64)));
  network.logits = torch::cat({network.logits, torch::full({25, 1, 1}, 50.0)}, 2);
  const auto observation = network.observe();
  const CyclicView view(observation);
  EXPECT_EQ(view.logits().size(1), 5);
  EXPECT_NEAR(view.losses(view.logits()).back().second, plain, 1e-12);
}

TEST(CyclicView, RefusesWhatDoesNotFit) {
  const auto refused = [](const std::function<void(Network&)>& spoil) {
    Network network(addition(5));
    testing::build_noise(network, 5);
    spoil(network);
    return what_is_wrong(network);
  };
  EXPECT_EQ(refused([](Network&) {}), "");
  EXPECT_TRUE(
      contains(refused([](Network& net) { net.task.structure.cyclic.reset(); }), "no cyclic structure"));
  EXPECT_TRUE(contains(refused([](Network& net) { net.task.split.train_rows = torch::Tensor(); }), "grid"));
  EXPECT_TRUE(contains(refused([](Network& net) {
                         net.logits = net.logits.repeat({1, 2, 1});
                       }),
                       "one read-out"));
  EXPECT_TRUE(contains(refused([](Network& net) { net.logits = net.logits.narrow(0, 0, 24); }), "25 inputs"));
  EXPECT_TRUE(contains(refused([](Network& net) { net.logits = net.logits.narrow(2, 0, 4); }), "5 classes"));
  EXPECT_TRUE(
      contains(refused([](Network& net) { net.task.structure.cyclic->left[1] = 0; }), "taken already"));
  EXPECT_TRUE(contains(refused([](Network& net) { net.task.structure.cyclic->right[1] = -1; }), "index 1"));
  EXPECT_TRUE(
      contains(refused([](Network& net) { net.task.structure.cyclic->result[1] = 9; }), "does not exist"));
  EXPECT_TRUE(
      contains(refused([](Network& net) { net.task.structure.cyclic->right_position = 3; }), "position 3"));
  EXPECT_TRUE(
      contains(refused([](Network& net) { net.task.structure.cyclic->right_position = 2; }), "token 5"));
  EXPECT_TRUE(
      contains(refused([](Network& net) { net.task.split.grid->tokens[3] = net.task.split.grid->tokens[4]; }),
               "rows 3 and 4"));
}

TEST(CyclicView, NeuronsOfOneLayerOnly) {
  Network network(addition(5));
  testing::build_noise(network, 5);
  network.cache.put("blocks.1.mlp.hook_post", network.cache["blocks.0.mlp.hook_post"]);
  const auto two_layers = network.observe();
  EXPECT_THROW(CyclicView(two_layers).neurons(), UsageError);
  Network attention_only(addition(5));
  testing::build_noise(attention_only, 5);
  attention_only.cache = {};
  const auto no_layer = attention_only.observe();
  EXPECT_THROW(CyclicView(no_layer).neurons(), UsageError);
}

KeyFrequencyParams with_rule(const std::string& rule) {
  KeyFrequencyParams params;
  params.rule = rule;
  return params;
}

KeyFrequencies keys_of(Network& network, const KeyFrequencyParams& params) {
  const auto observation = network.observe();
  return find_key_frequencies(params, CyclicView(observation));
}

TEST(KeyFrequencies, EveryRuleFindsTheWavesOfAHandBuiltNetwork) {
  for (const CyclicTask& task : {addition(17), subtraction(16), multiplication(17, 3)}) {
    Network network(task);
    testing::build_waves(network, {2, 5, 7}, 20);
    for (const std::string rule : {"neurons", "embedding", "logits"}) {
      const auto keys = keys_of(network, with_rule(rule));
      EXPECT_EQ(keys.frequencies, (std::vector<int64_t>{2, 5, 7})) << rule;
      for (const double share : keys.shares) EXPECT_NEAR(share, 1.0 / 3, 1e-6) << rule;
    }
    EXPECT_EQ(keys_of(network, {.rule = "given", .threshold = 0.85, .frequencies = {7, 1}}).frequencies,
              (std::vector<int64_t>{1, 7}));
  }
}

TEST(KeyFrequencies, NoiseHasNoneInItsNeuronsAndLogits) {
  Network network(addition(23));
  testing::build_noise(network, 8);
  EXPECT_TRUE(keys_of(network, {}).frequencies.empty());
  EXPECT_TRUE(keys_of(network, with_rule("logits")).frequencies.empty());
}

TEST(KeyFrequencies, TheEmbeddingRuleDrawsItsLineAtAQuarterOfTheLargestNorm) {
  const int64_t n = 11;
  Network network(addition(n));
  testing::build_noise(network, 8);
  auto W_E = torch::zeros({n + 1, 3});
  for (int64_t x = 0; x < n; ++x) {
    W_E[x][0] = 9 + 4 * std::cos(testing::angle(2, x, n));  // the mean is no frequency
    W_E[x][1] = 1.1 * std::sin(testing::angle(3, x, n));
    W_E[x][2] = 0.9 * std::sin(testing::angle(5, x, n));
  }
  network.model.weights().front().value.set_data(W_E);
  EXPECT_EQ(keys_of(network, with_rule("embedding")).frequencies, (std::vector<int64_t>{2, 3}));
}

TEST(KeyFrequencies, ParametersThatContradictThemselves) {
  EXPECT_THROW((with_rule("given").check()), UsageError);
  EXPECT_THROW((KeyFrequencyParams{.rule = "neurons", .threshold = 0.85, .frequencies = {1}}.check()),
               UsageError);
  EXPECT_NO_THROW(KeyFrequencyParams{}.check());
  Network network(addition(7));
  testing::build_noise(network, 8);
  EXPECT_THROW(keys_of(network, {.rule = "given", .threshold = 0.85, .frequencies = {4}}), UsageError);
  EXPECT_THROW(keys_of(network, {.rule = "given", .threshold = 0.85, .frequencies = {2, 2}}), UsageError);
}

TEST(KeyFrequencies, NeedsWhatTheRuleLooksAt) {
  const auto needs = [](const std::string& rule) {
    Needs needs;
    with_rule(rule).add_to(needs);
    return needs.activations.size() * 10 + needs.weights.size();
  };
  EXPECT_EQ(needs("neurons"), 10u);
  EXPECT_EQ(needs("embedding"), 1u);
  EXPECT_EQ(needs("logits"), 0u);
}

}  // namespace
}  // namespace orrery
