#include <gtest/gtest.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

using torch::Tensor;

Recorder measured(const Observation& observation, const std::string& parameters = "{}") {
  Recorder recorder;
  make_probe(parameters)->measure(observation, recorder);
  return recorder;
}

const Figure& figure(const Recorder& recorder, const std::string& name) {
  for (const Figure& recorded : recorder.record().figures)
    if (recorded.name == name) return recorded;
  throw std::out_of_range("no figure " + name);
}

std::vector<std::string> figure_names(const Recorder& recorder) {
  std::vector<std::string> names;
  for (const Figure& recorded : recorder.record().figures) names.push_back(recorded.name);
  return names;
}

// A network of one head that attends as it is told: attention(i, j) to the left operand, the rest to the
// right.
template <class Attention>
void attend(Network& network, Attention attention) {
  const CyclicStructure& cyclic = *network.task.structure.cyclic;
  const Tensor tokens = network.task.split.grid->tokens;
  Tensor pattern = torch::zeros({tokens.size(0), 1, 1, 3});
  for (int64_t row = 0; row < tokens.size(0); ++row) {
    const int64_t i = cyclic.left[tokens[row][0].item<int64_t>()];
    const int64_t j = cyclic.right[tokens[row][1].item<int64_t>()];
    pattern[row][0][0][0] = attention(i, j);
    pattern[row][0][0][1] = 1 - attention(i, j);
  }
  network.cache.put("blocks.0.attn.hook_pattern", pattern);
}

TEST(AttentionPatterns, OverTheOperandsAreThoseOfEachPair) {
  for (const CyclicTask& task : {addition(5), subtraction(5), multiplication(5, 2)}) {
    ModelOnGrid seen(task,
                     make_transformer({.n_layers = 2, .d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 4},
                                      task.spec, make_generator(3)));
    const auto recorder = measured(seen.observe(), R"({"operands": "both"})");
    const CyclicStructure& cyclic = *task.structure.cyclic;
    const Tensor tokens = task.split.grid->tokens;
    for (const std::string layer : {"0", "1"})
      for (int64_t head = 0; head < 2; ++head) {
        const Tensor& pattern = seen.cache["blocks." + layer + ".attn.hook_pattern"];
        for (const int64_t operand : {0, 1}) {
          const std::string letter = operand == 0 ? "a" : "b", number = std::to_string(head);
          const Tensor z = figure(recorder, "head_" + layer + "_" + number + "_to_" + letter).traces.at(0).z;
          ASSERT_EQ(z.sizes(), (std::vector<int64_t>{cyclic.order, cyclic.order}));
          double sum = 0;
          auto own = torch::zeros({cyclic.order}, torch::kFloat64);
          for (int64_t row = 0; row < tokens.size(0); ++row) {
            const int64_t i = cyclic.left[tokens[row][0].item<int64_t>()];
            const int64_t j = cyclic.right[tokens[row][1].item<int64_t>()];
            if (i < 0 || j < 0) continue;
            const double expected = pattern[row][head][0][operand].item<double>();
            EXPECT_EQ(z[i][j].item<double>(), expected);
            sum += expected;
            own[operand == 0 ? i : j] += expected / double(cyclic.order);
          }
          const std::string name = layer + "." + number + "/" + letter;
          EXPECT_NEAR(scalar(recorder, "attention/" + name), sum / double(z.numel()), 1e-6);
          const Trace& line =
              figure(recorder, "mean_to_" + letter).traces.at(std::stoul(layer) * 2 + size_t(head));
          EXPECT_EQ(line.name, "head " + layer + "." + number);
          EXPECT_TRUE(torch::allclose(line.y.to(torch::kFloat64), own, 0, 1e-6));
        }
      }
  }
}

TEST(AttentionPatterns, AWaveHasItsFrequency) {
  for (const CyclicTask& task : {addition(11), subtraction(11), multiplication(11, 2)}) {
    Network network(task);
    const int64_t n = network.order();
    attend(network, [&](int64_t i, int64_t j) {
      return 0.5 + 0.25 * (std::cos(angle(3, i, n)) - std::cos(angle(4, j, n)));
    });
    // In multiplication, inputs with a 0 have no index; what is looked at there does not count.
    const auto recorder = measured(network.observe());
    EXPECT_NEAR(scalar(recorder, "attention/0.0/a"), 0.5, 1e-6);
    EXPECT_EQ(scalar(recorder, "frequency/0.0/a"), 3);
    EXPECT_EQ(scalar(recorder, "frequency/0.0/b"), 4);
    EXPECT_NEAR(scalar(recorder, "frequency_share/0.0/a"), 1, 1e-6);
    const Tensor wave = figure(recorder, "mean_to_a").traces.at(0).y;
    EXPECT_NEAR(wave[2].item<double>(), 0.5 + 0.25 * std::cos(angle(3, 2, n)), 1e-6);
  }
}

TEST(AttentionPatterns, RandomWeightsHaveNoFrequency) {
  auto seen = random_transformer({}, 31);
  const auto recorder = measured(seen.observe());
  for (const std::string head : {"0.0", "0.1", "0.2", "0.3"})
    EXPECT_LT(scalar(recorder, "frequency_share/" + head + "/a"), 0.5);
}

TEST(AttentionPatterns, MeanOverTheInputsNamesHeadsAndPositions) {
  auto seen = random_transformer({}, 7);
  const auto recorder = measured(seen.observe());
  const Tensor expected = seen.cache["blocks.0.attn.hook_pattern"].mean(0);  // [n_heads, 1, 3]
  EXPECT_TRUE(torch::allclose(tensor(recorder, "mean_pattern"), expected, 0, 1e-6));
  const Figure& drawn = figure(recorder, "mean_pattern");
  EXPECT_TRUE(torch::allclose(drawn.traces.at(0).z, expected.select(1, 0), 0, 1e-6));
  EXPECT_EQ(drawn.x_ticks, (std::vector<std::string>{"a", "b", "2 (read out)"}));
  EXPECT_EQ(drawn.y_ticks, (std::vector<std::string>{"0.0", "0.1", "0.2", "0.3"}));
}

TEST(AttentionPatterns, HeadsThatDoNotFitAreNotDrawn) {
  auto seen = random_transformer({}, 7);
  using Names = std::vector<std::string>;
  EXPECT_EQ(figure_names(measured(seen.observe(), R"({"max_drawn": 98})")),
            (Names{"mean_pattern", "head_0_0_to_a", "head_0_1_to_a", "mean_to_a", "mean_to_b"}));
  EXPECT_EQ(figure_names(measured(seen.observe(), R"({"max_drawn": 48, "operands": "both"})")),
            (Names{"mean_pattern", "mean_to_a", "mean_to_b"}));
}

// Inputs of a group are laid out by element.
TEST(AttentionPatterns, OfAGroupHaveNoFrequency) {
  CyclicTask task = addition(6);
  GroupStructure group;
  for (int64_t x = 0; x < 6; ++x) {
    group.table.emplace_back();
    for (int64_t y = 0; y < 6; ++y) group.table.back().push_back((x + y) % 6);
  }
  task.structure = {};
  task.structure.group = group;
  ModelOnGrid seen(task, make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 4}, task.spec,
                                          make_generator(3)));
  const auto recorder = measured(seen.observe());
  EXPECT_FALSE(has_scalar(recorder, "frequency/0.0/a"));
  const Tensor tokens = task.split.grid->tokens, z = figure(recorder, "head_0_1_to_a").traces.at(0).z;
  for (int64_t row = 0; row < 36; ++row)
    EXPECT_EQ(z[tokens[row][0].item<int64_t>()][tokens[row][1].item<int64_t>()].item<float>(),
              seen.cache["blocks.0.attn.hook_pattern"][row][1][0][0].item<float>());
}

TEST(AttentionPatterns, PairsThatDoNotOccurAreMissing) {
  auto seen = random_transformer({.d_model = 8, .n_heads = 1, .d_head = 4, .d_mlp = 4}, 7);
  const Tensor rows = torch::arange(1, 49, torch::kInt64);
  const Batch some = seen.task.split.grid->rows(rows);
  ActivationCache cache;
  cache.put("blocks.0.attn.hook_pattern", seen.cache["blocks.0.attn.hook_pattern"].index_select(0, rows));
  const Observation observation{0,    seen.task.spec, seen.task.structure, seen.task.split,
                                some, *seen.model,    seen.logits,         cache};
  const auto recorder = measured(observation, R"({"inputs": "test"})");
  const Tensor z = figure(recorder, "head_0_0_to_a").traces.at(0).z;
  EXPECT_EQ(z.isnan().sum().item<int64_t>(), 1);
  EXPECT_NEAR(scalar(recorder, "attention/0.0/a"),
              cache["blocks.0.attn.hook_pattern"].select(3, 0).mean().item<double>(), 1e-6);
}

// A task on sequences: no operands, several positions that are read out.
TEST(AttentionPatterns, OfSequencesAreDrawnByPosition) {
  CyclicTask task = addition(5);
  task.structure = {};
  task.spec.read_out = {0, 2};
  ModelOnGrid seen(task, make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .attn_only = true},
                                          task.spec, make_generator(3)));
  const auto recorder = measured(seen.observe());
  EXPECT_EQ(figure_names(recorder),
            (std::vector<std::string>{"mean_pattern_head_0_0", "mean_pattern_head_0_1"}));
  const Figure& drawn = figure(recorder, "mean_pattern_head_0_1");
  EXPECT_TRUE(torch::allclose(drawn.traces.at(0).z,
                              seen.cache["blocks.0.attn.hook_pattern"].select(1, 1).mean(0), 0, 1e-6));
  EXPECT_EQ(drawn.x_ticks, (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(drawn.y_ticks, (std::vector<std::string>{"0", "2"}));
  EXPECT_EQ(figure_names(measured(seen.observe(), R"({"max_drawn": 11})")).size(), 1u);
  EXPECT_TRUE(recorder.record().scalars.empty());
}

TEST(AttentionPatterns, AsksForPatternsOnTheInputsItIsTold) {
  EXPECT_EQ(make_probe()->needs().inputs, Inputs::grid);
  EXPECT_EQ(make_probe(R"({"inputs": "train"})")->needs().inputs, Inputs::train);
  EXPECT_EQ(make_probe(R"({"inputs": "test"})")->needs().inputs, Inputs::test);
  EXPECT_EQ(make_probe()->needs().activations, std::vector<std::string>{"blocks.*.attn.hook_pattern"});
  EXPECT_TRUE(make_probe()->needs().null);
}

}  // namespace
}  // namespace orrery::testing
