#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

using torch::Tensor;

Recorder measured(Model& model, const TaskSpec& spec, const Structure& structure,
                  const std::string& parameters = "{}") {
  const torch::NoGradGuard no_grad;
  const Observation observation{0, spec, structure, {}, {}, model, {}, {}};
  Recorder recorder;
  make_probe(parameters)->measure(observation, recorder);
  return recorder;
}

bool has_tensor(const Recorder& recorder, const std::string& name) {
  for (const auto& [recorded, value] : recorder.record().tensors)
    if (recorded == name) return true;
  return false;
}

const Figure& figure(const Recorder& recorder, const std::string& name) {
  for (const Figure& recorded : recorder.record().figures)
    if (recorded.name == name) return recorded;
  throw std::out_of_range("no figure " + name);
}

Tensor randn(std::vector<int64_t> shape, uint64_t seed) { return torch::randn(shape, make_generator(seed)); }

TEST(WeightStructure, SizesOfKnownMatrices) {
  GivenWeights model;
  model.give("equal", torch::tensor({{3.0, -3.0}, {-3.0, 3.0}}));
  model.give("one", torch::tensor({0.0, 0.0, -4.0, 0.0}));
  model.give("some", torch::tensor({1.0, -2.0, 3.0}));
  model.give("zero", torch::zeros({5}));
  model.give("scalar", torch::tensor({2.0}));
  const auto recorder = measured(model, {}, {});
  EXPECT_EQ(scalar(recorder, "sum_of_squares/equal"), 36);
  EXPECT_EQ(scalar(recorder, "sum_of_squares/some"), 14);
  EXPECT_EQ(scalar(recorder, "norm/L1"), 12 + 4 + 6 + 2);
  EXPECT_NEAR(scalar(recorder, "norm/L2"), std::sqrt(36 + 16 + 14 + 4), 1e-12);
  EXPECT_EQ(scalar(recorder, "gini/equal"), 0);
  EXPECT_EQ(scalar(recorder, "gini/one"), 3.0 / 4);
  EXPECT_NEAR(scalar(recorder, "gini/some"), (-2 * 1 + 0 * 2 + 2 * 3) / (3.0 * 6), 1e-12);
  EXPECT_NEAR(scalar(recorder, "hoyer/equal"), 0, 1e-12);
  EXPECT_EQ(scalar(recorder, "hoyer/one"), 1);
  EXPECT_NEAR(scalar(recorder, "hoyer/some"), (std::sqrt(3) - 6 / std::sqrt(14)) / (std::sqrt(3) - 1), 1e-12);
  for (const std::string name : {"zero", "scalar"}) {
    EXPECT_EQ(scalar(recorder, "hoyer/" + name), 0);
    EXPECT_EQ(scalar(recorder, "gini/" + name), 0);
  }
  // 17 numbers: 3 3 3 3, 4, 1 2 3, 2 and zeros.
  EXPECT_NEAR(scalar(recorder, "hoyer/all"), (std::sqrt(17) - 24 / std::sqrt(70)) / (std::sqrt(17) - 1),
              1e-12);
  EXPECT_EQ(recorder.record().headlines, std::vector<std::string>{"norm/L2"});
  const Figure& bars = figure(recorder, "sum_of_squares");
  EXPECT_EQ(bars.x_ticks, (std::vector<std::string>{"equal", "one", "some", "zero", "scalar"}));
  EXPECT_TRUE(bars.traces.at(0).y.equal(torch::tensor({36.0f, 16.0f, 14.0f, 0.0f, 4.0f})));
}

// Of n normal numbers the Gini coefficient is that of the half-normal distribution, sqrt(2) - 1, and L1 / L2
// is sqrt(2 n / pi); both averages have a deviation below 1 / sqrt(n).
TEST(WeightStructure, SparsityOfNoiseIsThatOfNormalNumbers) {
  GivenWeights model;
  const double n = 90'000;
  model.give("noise", randn({300, 300}, 1));
  model.give("squared", randn({300, 300}, 1).pow(3));  // heavier tails
  const auto recorder = measured(model, {}, {});
  EXPECT_NEAR(scalar(recorder, "gini/noise"), std::sqrt(2) - 1, 3 / std::sqrt(n));
  const double expected = (1 - std::sqrt(2 / M_PI)) * std::sqrt(n) / (std::sqrt(n) - 1);
  EXPECT_NEAR(scalar(recorder, "hoyer/noise"), expected, 3 / std::sqrt(n));
  EXPECT_GT(scalar(recorder, "gini/squared"), 0.6);
  EXPECT_GT(scalar(recorder, "hoyer/squared"), 0.5);
}

TEST(WeightStructure, EveryModelHasSizesAndNeurons) {
  const TaskSpec spec{.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}};
  TransformerConfig config;
  config.n_layers = 2;
  config.d_model = 16;
  config.d_head = 4;
  config.d_mlp = 20;
  const auto model = make_transformer(config, spec, make_generator(1));
  const auto recorder = measured(*model, spec, {});
  double sum = 0;
  for (const NamedWeight& named : model->weights()) sum += scalar(recorder, "sum_of_squares/" + named.name);
  EXPECT_NEAR(scalar(recorder, "norm/L2"), std::sqrt(sum), 1e-9);
  EXPECT_EQ(scalar(recorder, "live_neurons/blocks.0.mlp"), 20);
  EXPECT_EQ(scalar(recorder, "live_neurons/blocks.1.mlp"), 20);
  EXPECT_EQ(figure(recorder, "neurons").traces.size(), 4u);  // two layers, and from where neurons are live
  EXPECT_FALSE(has_tensor(recorder, "input_norms"));
  config.attn_only = true;
  const auto without = measured(*make_transformer(config, spec, make_generator(1)), spec, {});
  EXPECT_EQ(without.record().figures.size(), 1u);
  for (const auto& [name, value] : without.record().scalars) EXPECT_TRUE(std::isfinite(value)) << name;
}

// A parity network on 8 bits and a column of ones, with 6 neurons.
struct Parity {
  explicit Parity(MlpConfig config = {}) {
    config.input = MlpConfig::Input::bits;
    config.d_mlp = 6;
    model = make_mlp(config, spec, make_generator(1));
    structure.relevant_positions = RelevantPositions{{1, 4, 6}};
  }
  Tensor weight(const std::string& name) { return model->weight(name).detach(); }
  Recorder measured(const std::string& parameters = "{}") {
    return testing::measured(*model, spec, structure, parameters);
  }
  TaskSpec spec{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 8, .read_out = {7}};
  Structure structure;
  std::unique_ptr<Model> model;
};

TEST(WeightStructure, TellsRelevantInputsFromDistractors) {
  for (const bool ones : {true, false}) {
    MlpConfig config;
    config.bias_column = ones;
    Parity parity(config);
    Tensor W_in = parity.weight("mlp.W_in").zero_();
    W_in.narrow(1, 0, 4).fill_(0.1);                                                   // every norm is 0.2
    for (const int64_t position : {1, 4, 6}) W_in[position][2] = std::sqrt(9 - 0.03);  // and here 3
    const auto recorder = parity.measured();
    EXPECT_NEAR(scalar(recorder, "inputs/relevant"), 3, 1e-6);
    EXPECT_NEAR(scalar(recorder, "inputs/distractor"), 0.2, 1e-6);
    EXPECT_NEAR(scalar(recorder, "inputs/ratio"), 15, 1e-4);
    EXPECT_NEAR(scalar(recorder, "inputs/relevant_share"), 27 / (27 + 5 * 0.04), 1e-6);
    const Tensor norms = tensor(recorder, "input_norms");
    EXPECT_EQ(norms.size(0), ones ? 9 : 8);
    EXPECT_NEAR(norms[4].item<double>(), 3, 1e-6);
    EXPECT_NEAR(norms[7].item<double>(), 0.2, 1e-6);
    const auto& traces = figure(recorder, "input_norms").traces;
    ASSERT_EQ(traces.size(), ones ? 3u : 2u);
    EXPECT_TRUE(torch::equal(traces[0].x, torch::tensor({1, 4, 6}, torch::kInt64)));
    EXPECT_EQ(traces[1].y.size(0), 5);
    EXPECT_EQ(figure(recorder, "input_norms").x_ticks.size(), ones ? 9u : 8u);
    EXPECT_EQ(figure(recorder, "input_norms").x_ticks.back(), ones ? "ones" : "7");
  }
}

TEST(WeightStructure, WeightsByInputShowRelevantInputsFirst) {
  for (const bool ones : {true, false}) {
    MlpConfig config;
    config.bias_column = ones;
    Parity parity(config);
    parity.weight("mlp.W_out").narrow(0, 4, 1).mul_(100);
    const auto recorder = parity.measured(R"({"max_drawn": 3})");
    const Figure& drawn = figure(recorder, "input_weights");
    std::vector<std::string> positions{
        "1 (relevant)", "4 (relevant)", "6 (relevant)", "0", "2", "3", "5", "7"};
    if (ones) positions.push_back("ones");
    EXPECT_EQ(drawn.x_ticks, positions);
    ASSERT_EQ(drawn.y_ticks.size(), 3u);
    EXPECT_EQ(drawn.y_ticks[0], "4");
    const Tensor z = drawn.traces.at(0).z, W_in = parity.weight("mlp.W_in");
    ASSERT_EQ(z.sizes(), (std::vector<int64_t>{3, int64_t(positions.size())}));
    for (int64_t row = 0; row < 3; ++row)
      for (size_t column = 0; column < positions.size(); ++column) {
        const int64_t input = positions[column] == "ones" ? 8 : std::stoll(positions[column]);
        EXPECT_EQ(z[row][int64_t(column)].item<float>(),
                  W_in[input][std::stoll(drawn.y_ticks[row])].item<float>());
      }
  }
}

TEST(WeightStructure, CountsLiveNeurons) {
  MlpConfig config;
  config.bias_column = true;
  Parity parity(config);
  Tensor W_in = parity.weight("mlp.W_in").zero_(), W_out = parity.weight("mlp.W_out").zero_();
  const std::vector<double> in{3, 300, 4, 0.02, 0, 0.04}, out{4, 0.04, 1, 1, 9, 1};
  for (int64_t i = 0; i < 6; ++i) {
    W_in[i][i] = 0.6 * in[i];  // 3-4-5: norm in[i], of which the column of ones is part
    W_in[8][i] = 0.8 * in[i];
    W_out[i][0] = -0.8 * out[i];
    W_out[i][1] = 0.6 * out[i];
  }
  const auto recorder = parity.measured();  // products 12, 12, 4, 0.02, 0, 0.04; a hundredth of 12 is 0.12
  EXPECT_EQ(scalar(recorder, "live_neurons/mlp"), 3);
  EXPECT_EQ(scalar(parity.measured(R"({"live_share": 0.003})"), "live_neurons/mlp"), 4);
  EXPECT_EQ(scalar(parity.measured(R"({"live_share": 0.5})"), "live_neurons/mlp"), 2);
  EXPECT_EQ(scalar(parity.measured(R"({"live_share": 0})"), "live_neurons/mlp"), 5);
  const Tensor products = tensor(recorder, "neuron_norms/mlp");
  for (int64_t i = 0; i < 6; ++i) EXPECT_NEAR(products[i].item<double>(), in[i] * out[i], 1e-5);
  const auto& lines = figure(recorder, "neurons").traces;
  EXPECT_NEAR(lines.at(0).y[2].item<double>(), 4, 1e-6);
  EXPECT_NEAR(lines.at(1).y[1].item<double>(), 0.12, 1e-6);
  W_in.zero_();
  EXPECT_EQ(scalar(parity.measured(), "live_neurons/mlp"), 0);
}

TEST(WeightStructure, TwoHiddenLayersAndBiases) {
  MlpConfig config;
  config.n_hidden = 2;
  config.bias = true;
  Parity parity(config);
  for (const NamedWeight& named : parity.model->weights()) Tensor(named.value).detach().zero_();
  parity.weight("mlp.W_in")[0][0] = 3;
  parity.weight("mlp.b_in")[0] = 4;         // input norm 5
  parity.weight("mlp.W_hidden")[0][1] = 2;  // from neuron 0 to neuron 1
  parity.weight("mlp.W_out")[1][0] = 7;
  const auto recorder = parity.measured();
  EXPECT_NEAR(tensor(recorder, "neuron_norms/mlp")[0].item<double>(), 5 * 2, 1e-6);
  EXPECT_NEAR(tensor(recorder, "neuron_norms/mlp_2")[1].item<double>(), 2 * 7, 1e-6);
  for (const std::string layer : {"mlp", "mlp_2"}) EXPECT_EQ(scalar(recorder, "live_neurons/" + layer), 1);
}

// Rows of noise have norms of relative deviation 1 / sqrt(2 d_mlp), and the k relevant ones of n hold k / n
// of the sum of squares, with relative deviation sqrt(2 / (k d_mlp)). Five deviations.
TEST(WeightStructure, RandomWeightsReadAllInputsAlike) {
  const TaskSpec spec{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 30, .read_out = {29}};
  MlpConfig config;
  config.input = MlpConfig::Input::bits;
  config.d_mlp = 64;
  Structure structure;
  structure.relevant_positions = RelevantPositions{{3, 11, 20}};
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const auto recorder = measured(*make_mlp(config, spec, make_generator(seed)), spec, structure);
    EXPECT_NEAR(scalar(recorder, "inputs/ratio"), 1, 5 / std::sqrt(2 * 64.0) / std::sqrt(3) * 1.05);
    EXPECT_NEAR(scalar(recorder, "inputs/relevant_share"), 0.1, 5 * 0.1 * std::sqrt(2 / (3 * 64.0)));
  }
}

TEST(WeightStructure, InputsAreReadOnlyWhereTheyAreBits) {
  TaskSpec spec{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 3, .read_out = {2}};
  Structure structure;
  structure.relevant_positions = RelevantPositions{{0, 1}};
  MlpConfig config;
  config.d_embed = 3;  // mlp.W_in has as many rows as there are positions, and they are no inputs
  EXPECT_FALSE(
      has_tensor(measured(*make_mlp(config, spec, make_generator(1)), spec, structure), "input_norms"));
  config.input = MlpConfig::Input::bits;
  EXPECT_TRUE(
      has_tensor(measured(*make_mlp(config, spec, make_generator(1)), spec, structure), "input_norms"));
  structure.relevant_positions->positions = {0, 1, 2};
  const auto recorder = measured(*make_mlp(config, spec, make_generator(1)), spec, structure);
  EXPECT_FALSE(has_scalar(recorder, "inputs/ratio"));
  EXPECT_NEAR(scalar(recorder, "inputs/relevant_share"), 1, 1e-12);
}

// An embedding [d_vocab, d] with ellipses: for each, its frequency and its two axes, in orthogonal directions
// that are turned at random. Rows without an index hold noise.
struct Ellipse {
  int64_t frequency;
  double a, b;
};
Tensor ellipses(const CyclicTask& task, const std::vector<int64_t>& map,
                const std::vector<Ellipse>& planted) {
  const int64_t n = task.structure.cyclic->order, d = 12;
  const Tensor directions = std::get<0>(at::linalg_qr(randn({d, d}, 9)));
  Tensor W_E = randn({task.spec.d_vocab, d}, 3);
  for (size_t value = 0; value < map.size(); ++value) {
    if (map[value] < 0) continue;
    Tensor row = directions[d - 1] * 5;  // a mean, which is no part of the variance
    for (size_t i = 0; i < planted.size(); ++i) {
      const double phase = angle(planted[i].frequency, map[value], n) + 0.4;
      row = row + directions[2 * i] * (planted[i].a * std::cos(phase)) +
            directions[2 * i + 1] * (planted[i].b * std::sin(phase));
    }
    W_E[value] = row;
  }
  return W_E;
}

TEST(WeightStructure, FindsAPlantedCircle) {
  for (const CyclicTask& task : {addition(17), addition(16), subtraction(17), multiplication(17, 3)}) {
    GivenWeights model;
    model.give("embed.W_E", ellipses(task, task.structure.cyclic->left, {{3, 2, 2}}));
    const auto recorder = measured(model, task.spec, task.structure);
    const double first = scalar(recorder, "pca/embed.W_E/share_1"),
                 second = scalar(recorder, "pca/embed.W_E/share_2");
    EXPECT_NEAR(first, 0.5, 1e-6);
    EXPECT_NEAR(first + second, 1, 1e-6);
    EXPECT_NEAR(scalar(recorder, "pca/embed.W_E/share_3"), 0, 1e-6);
    for (const std::string i : {"1", "2"}) {
      EXPECT_EQ(scalar(recorder, "pca/embed.W_E/frequency_" + i), 3);
      EXPECT_NEAR(scalar(recorder, "pca/embed.W_E/frequency_share_" + i), 1, 1e-6);
    }
    EXPECT_NEAR(scalar(recorder, "circularity/embed.W_E"), 1, 1e-6);
    EXPECT_EQ(scalar(recorder, "circle_frequency/embed.W_E"), 3);
    EXPECT_NEAR(scalar(recorder, "roundness/embed.W_E"), 1, 1e-5);
    EXPECT_EQ(recorder.record().headlines, (std::vector<std::string>{"norm/L2", "circularity/embed.W_E"}));
    // Every point lies at the radius.
    const Trace& points = figure(recorder, "circle_embed_w_e").traces[0];
    EXPECT_EQ(points.x.size(0), task.structure.cyclic->order);
    EXPECT_LT((points.x.square() + points.y.square() - 4).abs().max().item<double>(), 1e-4);
  }
}

TEST(WeightStructure, SharesOfTwoEllipses) {
  const CyclicTask task = addition(17);
  GivenWeights model;
  model.give("embed.W_E", ellipses(task, task.structure.cyclic->left, {{5, 3, 1}, {2, 2, 0}}));
  const auto recorder = measured(model, task.spec, task.structure, R"({"n_components": 3})");
  // Half of 9, 1 and 4, by size.
  const std::vector<double> shares{9.0 / 14, 4.0 / 14, 1.0 / 14}, frequencies{5, 2, 5};
  for (int64_t i = 0; i < 3; ++i) {
    const std::string number = std::to_string(i + 1);
    EXPECT_NEAR(scalar(recorder, "pca/embed.W_E/share_" + number), shares[i], 1e-6);
    EXPECT_EQ(scalar(recorder, "pca/embed.W_E/frequency_" + number), frequencies[i]);
  }
  EXPECT_FALSE(has_scalar(recorder, "pca/embed.W_E/share_4"));
  EXPECT_EQ(tensor(recorder, "pca/embed.W_E").size(0), 12);
  EXPECT_NEAR(scalar(recorder, "circularity/embed.W_E"), 10.0 / 14, 1e-6);
  EXPECT_EQ(scalar(recorder, "circle_frequency/embed.W_E"), 5);
  EXPECT_NEAR(scalar(recorder, "roundness/embed.W_E"), 1.0 / 3, 1e-5);
  const Figure& circles = figure(recorder, "circle_embed_w_e");
  EXPECT_TRUE(circles.equal_axes);
  ASSERT_EQ(circles.traces.size(), 2u);
  for (const auto& [trace, name, length, width] : {std::tuple{0, "k=5", 3.0, 1.0}, {1, "k=2", 2.0, 0.0}}) {
    const Trace& points = circles.traces[trace];
    EXPECT_EQ(points.name, name);
    // Whichever way it is turned: the sum of the squares of its axes, and their product.
    const auto xx = points.x.dot(points.x).item<double>(), yy = points.y.dot(points.y).item<double>();
    const auto xy = points.x.dot(points.y).item<double>();
    EXPECT_NEAR(xx + yy, 17 * (length * length + width * width) / 2, 1e-3);
    EXPECT_NEAR(xx * yy - xy * xy, std::pow(17 * length * width / 2, 2), 1e-2);
  }
}

TEST(WeightStructure, ALineIsNotRoundAndAnAlternationIsNoCircle) {
  const CyclicTask task = addition(16);
  GivenWeights line, alternation;
  line.give("embed.W_E", ellipses(task, task.structure.cyclic->left, {{3, 2, 0}}));
  const auto flat = measured(line, task.spec, task.structure);
  EXPECT_NEAR(scalar(flat, "circularity/embed.W_E"), 1, 1e-6);
  EXPECT_NEAR(scalar(flat, "roundness/embed.W_E"), 0, 1e-5);
  alternation.give("embed.W_E", ellipses(task, task.structure.cyclic->left, {{8, 2, 0}}));
  const auto parity = measured(alternation, task.spec, task.structure);
  EXPECT_EQ(scalar(parity, "pca/embed.W_E/frequency_1"), 8);
  EXPECT_NEAR(scalar(parity, "circularity/embed.W_E"), 0, 1e-6);
}

TEST(WeightStructure, ReadsWhatTurnsOperandsIntoVectors) {
  const CyclicTask task = subtraction(17);
  const auto& cyclic = *task.structure.cyclic;
  GivenWeights untied, collapsed;
  untied.give("embed.W_E_a", ellipses(task, cyclic.left, {{3, 2, 2}}));
  untied.give("embed.W_E_b", ellipses(task, cyclic.right, {{6, 2, 2}}));
  untied.give("mlp.W_in", torch::ones({12, 4}));
  const auto both = measured(untied, task.spec, task.structure);
  EXPECT_EQ(scalar(both, "circle_frequency/embed.W_E_a"), 3);
  EXPECT_EQ(scalar(both, "circle_frequency/embed.W_E_b"), 6);
  EXPECT_FALSE(has_scalar(both, "circularity/mlp.W_in"));
  EXPECT_EQ(figure(both, "pca").traces.size(), 2u);

  collapsed.give("mlp.W_in", ellipses(task, cyclic.left, {{3, 2, 2}}));
  EXPECT_NEAR(scalar(measured(collapsed, task.spec, task.structure), "circularity/mlp.W_in"), 1, 1e-6);
}

// pre_i = cos(theta_i - 2 pi a / p): written down, not learned. The "=" has no index and is left out.
TEST(WeightStructure, TheConstructedSolutionIsACircle) {
  const CyclicTask task = addition(13);
  for (const auto collapse : {MlpConfig::Collapse::none, MlpConfig::Collapse::both}) {
    MlpConfig config;
    config.embedding = MlpConfig::Embedding::input_tied;
    config.collapse = collapse;
    config.d_embed = 2;
    config.d_mlp = 5;
    const auto model = make_mlp(config, task.spec, make_generator(1));
    set_constructed_solution(*model, task.spec);
    const auto recorder = measured(*model, task.spec, task.structure);
    const std::string name = collapse == MlpConfig::Collapse::none ? "embed.W_E" : "mlp.W_in";
    EXPECT_NEAR(scalar(recorder, "circularity/" + name), 1, 1e-6);
    EXPECT_NEAR(scalar(recorder, "roundness/" + name), 1, 1e-5);
    EXPECT_EQ(scalar(recorder, "circle_frequency/" + name), 1);
    EXPECT_EQ(scalar(recorder, "live_neurons/mlp"), 5);
  }
}

// Pearce et al. 2023 draw it beside the neurons. It has the radius that the config gives it.
TEST(WeightStructure, AFixedCircleIsReadAsTheModelComputesIt) {
  const CyclicTask task = addition(13);
  MlpConfig config;
  config.embedding = MlpConfig::Embedding::circular;
  config.d_embed = 2;
  config.circle_radius = 0.5;
  const auto recorder = measured(*make_mlp(config, task.spec, make_generator(1)), task.spec, task.structure);
  EXPECT_NEAR(scalar(recorder, "circularity/hook_embed"), 1, 1e-6);
  EXPECT_NEAR(scalar(recorder, "roundness/hook_embed"), 1, 1e-6);
  EXPECT_EQ(scalar(recorder, "circle_frequency/hook_embed"), 1);
  const auto& circle = figure(recorder, "circle_hook_embed").traces.at(0);
  for (int64_t x = 0; x < 13; ++x)
    EXPECT_NEAR(std::hypot(circle.x[x].item<double>(), circle.y[x].item<double>()), 0.5, 1e-6);
}

// n = 113 points of noise in d = 128 dimensions. Each of 56 frequencies has 2 d squares of normal numbers:
// a share of 2/112 with relative deviation 1/sqrt(d), and six deviations bound the largest. The largest
// singular value is below sqrt(n - 1) + sqrt(d) + t but with probability exp(-t^2/2) (Davidson & Szarek
// 2001), and the sum of squares within five deviations sqrt(2 (n - 1) d) of (n - 1) d. A component is a
// random direction in n - 1 dimensions, whose share at one frequency is above x with probability (1 - x)^55:
// for 2 components and 56 frequencies 0.3 is passed once in 3 million.
TEST(WeightStructure, RandomEmbeddingsHaveNoCircle) {
  const CyclicTask task = addition(113);
  const double n = 112, d = 128, t = 5;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    GivenWeights model;
    model.give("embed.W_E", randn({114, 128}, seed));
    const auto recorder = measured(model, task.spec, task.structure);
    const double circularity = scalar(recorder, "circularity/embed.W_E");
    EXPECT_GT(circularity, 2 / n);
    EXPECT_LT(circularity, 2 / n * (1 + 6 / std::sqrt(d)));
    EXPECT_LT(scalar(recorder, "pca/embed.W_E/share_1"),
              std::pow(std::sqrt(n) + std::sqrt(d) + t, 2) / (n * d - 5 * std::sqrt(2 * n * d)));
    EXPECT_LT(scalar(recorder, "pca/embed.W_E/frequency_share_1"), 0.3);
    EXPECT_LT(scalar(recorder, "pca/embed.W_E/frequency_share_2"), 0.3);
  }
}

TEST(WeightStructure, ZeroEmbeddingsAreFinite) {
  const CyclicTask task = addition(11);
  GivenWeights model;
  model.give("embed.W_E", torch::zeros({12, 4}));
  const auto recorder = measured(model, task.spec, task.structure);
  for (const auto& [name, value] : recorder.record().scalars) EXPECT_TRUE(std::isfinite(value)) << name;
  EXPECT_EQ(scalar(recorder, "circularity/embed.W_E"), 0);
}

TEST(WeightStructure, RefusesAStructureThatDoesNotFit) {
  CyclicTask task = addition(11);
  GivenWeights model;
  model.give("embed.W_E", randn({12, 4}, 1));
  task.structure.cyclic->left[3] = 4;
  EXPECT_THROW(measured(model, task.spec, task.structure), Error);
  task.structure.cyclic->left[3] = -1;
  EXPECT_THROW(measured(model, task.spec, task.structure), Error);
}

TEST(WeightStructure, NeedsNoInputs) {
  const auto needs = make_probe()->needs();
  EXPECT_EQ(needs.inputs, Inputs::none);
  EXPECT_TRUE(needs.weights.empty() && needs.structure.empty() && needs.activations.empty() && needs.null);
}

}  // namespace
}  // namespace orrery::testing
