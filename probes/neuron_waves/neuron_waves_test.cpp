#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <set>

namespace orrery::testing {
namespace {

Recorder measured(const Observation& observation, const std::string& parameters = "{}") {
  Recorder recorder;
  make_probe(parameters)->measure(observation, recorder);
  return recorder;
}

// One neuron: pre = A cos(w_k i - left) + A cos(w_k j - right), W_L = B cos(w_k c - output) + 7.
struct Neuron {
  int64_t k;
  double A, left, right, B, output;
};

// Fills a network with these and relu, whose logits also hold `direct`, which passes no neuron: [grid,
// classes].
void build(Network& network, const std::vector<Neuron>& neurons, const torch::Tensor& direct = {}) {
  const CyclicStructure& cyclic = *network.task.structure.cyclic;
  const int64_t n = cyclic.order, m = int64_t(neurons.size()), classes = int64_t(cyclic.result.size());
  const auto tokens = network.task.split.grid->tokens;
  auto pre = torch::zeros({tokens.size(0), 1, m}), W_L = torch::zeros({m, classes});
  for (int64_t h = 0; h < m; ++h) {
    const Neuron& neuron = neurons[h];
    for (int64_t row = 0; row < tokens.size(0); ++row) {
      const int64_t i = cyclic.left[tokens[row][0].item<int64_t>()];
      const int64_t j = cyclic.right[tokens[row][1].item<int64_t>()];
      pre[row][0][h] = neuron.A * (std::cos(angle(neuron.k, i, n) - neuron.left) +
                                   std::cos(angle(neuron.k, j, n) - neuron.right));
    }
    for (int64_t c = 0; c < classes; ++c)
      W_L[h][c] = 7 + neuron.B * std::cos(angle(neuron.k, cyclic.result[c], n) - neuron.output);
  }
  network.cache.put("blocks.0.mlp.hook_pre", pre);
  network.cache.put("blocks.0.mlp.hook_post", pre.relu());
  network.model.give("blocks.0.mlp.W_out", W_L);
  network.model.give("unembed.W_U", torch::eye(classes));
  network.logits = pre.relu().matmul(W_L);
  if (direct.defined()) network.logits = network.logits + direct.unsqueeze(1);
}

// An angle as the probe gives it: in (-pi, pi].
double wrapped(double x) { return std::atan2(std::sin(x), std::cos(x)); }

constexpr double kRounding = 1e-5;  // float32, sums of a few numbers near 1

TEST(NeuronWaves, ReadsTheConstructedSolutionWhateverTheWiring) {
  const int64_t n = 17, N = 7;
  for (const MlpConfig& config : every_mlp_of_operands(5, N)) {
    SCOPED_TRACE(orrery::testing::wiring(config));
    auto seen = constructed_mlp(config, n);
    const auto recorder = measured(seen.observe());
    EXPECT_EQ(key_frequencies(recorder), std::vector<int64_t>{1});
    EXPECT_EQ(scalar(recorder, "k=1/neurons"), N);
    EXPECT_NEAR(scalar(recorder, "angle_doubling"), 1, kRounding);
    EXPECT_NEAR(scalar(recorder, "k=1/angle_offset"), 0, kRounding);
    EXPECT_NEAR(scalar(recorder, "k=1/angle_deviation"), 0, 1e-3);  // the root of a rounding error
    for (const std::string even : {"smallest_gap", "largest_gap", "size_ratio"})
      EXPECT_NEAR(scalar(recorder, "k=1/" + even), 1, kRounding);
    EXPECT_NEAR(scalar(recorder, "logit_share"), 1, kRounding);
    EXPECT_NEAR(scalar(recorder, "k=1/margin_share"), 1, kRounding);
    EXPECT_NEAR(scalar(recorder, "rest/logit_share"), 0, kRounding);
    EXPECT_GT(scalar(recorder, "margin"), 0);
    const auto left = tensor(recorder, "star/left"), output = tensor(recorder, "star/output");
    for (int64_t h = 0; h < N; ++h) {
      const double theta = 2 * M_PI * double(h) / double(N);
      EXPECT_NEAR(left[h][0].item<double>(), std::cos(theta), kRounding);
      EXPECT_NEAR(left[h][1].item<double>(), std::sin(theta), kRounding);
      EXPECT_NEAR(output[h][0].item<double>(), std::cos(2 * theta), kRounding);
      EXPECT_NEAR(output[h][1].item<double>(), std::sin(2 * theta), kRounding);
    }
    EXPECT_TRUE(torch::allclose(left, tensor(recorder, "star/right"), 0, kRounding));
    // By phase in (-pi, pi]: theta of neurons 4, 5, 6 is negative.
    const auto drawn = tensor(recorder, "drawn"), waves = tensor(recorder, "input_waves");
    const int64_t by_phase[] = {4, 5, 6, 0, 1, 2, 3};
    for (int64_t row = 0; row < N; ++row) {
      EXPECT_EQ(drawn[row].item<int64_t>(), by_phase[row]);
      for (int64_t a = 0; a < n; ++a)
        EXPECT_NEAR(waves[row][a].item<double>(),
                    std::cos(2 * M_PI * double(by_phase[row]) / double(N) - angle(1, a, n)), kRounding);
    }
  }
}

TEST(NeuronWaves, GroupsByFrequencyAndMeasuresEachGroupsAngles) {
  for (const CyclicTask& task : {addition(17), addition(16), subtraction(17), multiplication(17, 3)}) {
    std::vector<Neuron> neurons;
    for (int64_t h = 0; h < 6; ++h) {  // output = left + right + 0.3 at k = 5, 2.0 +- 0.4 at k = 2
      const double left = double(h), right = 0.5 * double(h) + 1, spread = h % 2 ? 0.4 : -0.4;
      neurons.push_back({5, 1.5, left, right, 0.5, left + right + 0.3});
      neurons.push_back({2, 2, left, right, 1, left + right + 2.0 + spread});
    }
    Network network(task);
    build(network, neurons);
    const auto recorder = measured(network.observe());
    EXPECT_EQ(key_frequencies(recorder), (std::vector<int64_t>{2, 5}));
    EXPECT_EQ(scalar(recorder, "n_groups"), 2);
    EXPECT_NEAR(scalar(recorder, "k=5/angle_offset"), 0.3, kRounding);
    EXPECT_NEAR(scalar(recorder, "k=5/angle_deviation"), 0, 1e-3);
    EXPECT_NEAR(scalar(recorder, "k=2/angle_offset"), 2.0, kRounding);
    EXPECT_NEAR(scalar(recorder, "k=2/angle_deviation"), std::sqrt(2 * (1 - std::cos(0.4))), kRounding);
    // Weights 1.5 * 0.5 and 2 * 1.
    EXPECT_NEAR(scalar(recorder, "angle_doubling"),
                (0.75 * std::cos(0.3) + 2 * std::cos(2.0) * std::cos(0.4)) / 2.75, kRounding);
    const auto right = tensor(recorder, "star/right");
    EXPECT_NEAR(right[2][0].item<double>(), 1.5 * std::cos(1.5), kRounding);
    EXPECT_NEAR(right[2][1].item<double>(), 1.5 * std::sin(1.5), kRounding);
    // k = 2 first; in it, by the phase of the left operand.
    const auto drawn = tensor(recorder, "drawn");
    double last = -4;
    for (int64_t row = 0; row < 12; ++row) {
      const Neuron& neuron = neurons[drawn[row].item<int64_t>()];
      EXPECT_EQ(neuron.k, row < 6 ? 2 : 5);
      if (row == 6) last = -4;
      EXPECT_GT(wrapped(neuron.left), last);
      last = wrapped(neuron.left);
    }
  }
}

// Shares and margins by their definitions, in loops.
struct Plain {
  double share = 0, margin = 0;
};
Plain plain_contribution(const Network& network, const std::vector<Neuron>& neurons, int64_t k) {
  const CyclicStructure& cyclic = *network.task.structure.cyclic;
  const auto& grid = *network.task.split.grid;
  const auto post = network.cache["blocks.0.mlp.hook_post"];
  const auto W_L = network.model.weight("blocks.0.mlp.W_out").detach();
  const int64_t classes = W_L.size(1);
  double product = 0, square = 0, margin = 0;
  int64_t pairs = 0;
  for (int64_t row = 0; row < grid.size(); ++row) {
    if (cyclic.left[grid.tokens[row][0].item<int64_t>()] < 0) continue;
    if (cyclic.right[grid.tokens[row][1].item<int64_t>()] < 0) continue;
    ++pairs;
    std::vector<double> all(classes), part(classes);
    double all_mean = 0, part_mean = 0, n = double(cyclic.order);
    for (int64_t c = 0; c < classes; ++c) {
      if (cyclic.result[c] < 0) continue;
      all[c] = network.logits[row][0][c].item<double>();
      for (size_t h = 0; h < neurons.size(); ++h)
        if (neurons[h].k == k)
          part[c] += post[row][0][int64_t(h)].item<double>() * W_L[int64_t(h)][c].item<double>();
      all_mean += all[c] / n;
      part_mean += part[c] / n;
    }
    const int64_t right = grid.labels[row][0].item<int64_t>();
    int64_t rival = -1;
    for (int64_t c = 0; c < classes; ++c) {
      if (cyclic.result[c] < 0) continue;
      product += (all[c] - all_mean) * (part[c] - part_mean);
      square += (all[c] - all_mean) * (all[c] - all_mean);
      if (c != right && (rival < 0 || all[c] > all[rival])) rival = c;
    }
    margin += part[right] - part[rival];
  }
  return {product / square, margin / double(pairs)};
}

// Six phases, a radian apart, and what is left of the circle.
TEST(NeuronWaves, UnevenPhasesAndSizesAreSaid) {
  Network network(addition(17));
  std::vector<Neuron> neurons;
  for (int64_t h = 0; h < 6; ++h) neurons.push_back({5, h == 3 ? 0.5 : 2, double(h), 0, 1, double(h)});
  build(network, neurons);
  const auto recorder = measured(network.observe());
  EXPECT_NEAR(scalar(recorder, "k=5/smallest_gap"), 6 / (2 * M_PI), kRounding);
  EXPECT_NEAR(scalar(recorder, "k=5/largest_gap"), (2 * M_PI - 5) * 6 / (2 * M_PI), kRounding);
  EXPECT_NEAR(scalar(recorder, "k=5/size_ratio"), 0.25, kRounding);
}

TEST(NeuronWaves, ContributionsAreThoseOfTheDefinition) {
  for (const CyclicTask& task : {addition(7), multiplication(7, 3)}) {
    std::vector<Neuron> neurons;
    for (int64_t h = 0; h < 5; ++h) {
      const double turn = 2 * M_PI * double(h) / 5;
      neurons.push_back({1, 1, turn, turn, 1, 2 * turn});
      neurons.push_back({2, 0.7, turn, turn, 0.4, 2 * turn});
    }
    const auto direct = torch::randn({task.split.grid->size(), 7}, make_generator(2)) * 0.3;
    Network network(task);
    build(network, neurons, direct);
    const auto recorder = measured(network.observe());
    double share = 0, margin = 0;
    for (const int64_t k : {1, 2}) {
      const Plain plain = plain_contribution(network, neurons, k);
      const std::string name = "k=" + std::to_string(k);
      EXPECT_NEAR(scalar(recorder, name + "/logit_share"), plain.share, kRounding);
      EXPECT_NEAR(scalar(recorder, name + "/margin"), plain.margin, kRounding);
      EXPECT_GT(plain.share, 0.05);
      share += plain.share;
      margin += plain.margin;
    }
    EXPECT_NEAR(scalar(recorder, "logit_share"), share, kRounding);
    EXPECT_NEAR(scalar(recorder, "rest/logit_share"), 1 - share, kRounding);
    EXPECT_NEAR(scalar(recorder, "rest/margin"), scalar(recorder, "margin") - margin, kRounding);
    EXPECT_NEAR(scalar(recorder, "k=1/margin_share") + scalar(recorder, "k=2/margin_share") +
                    scalar(recorder, "rest/margin_share"),
                1, 1e-9);
  }
}

// The average over b of the pre-activation is W_E W_in, up to a constant.
TEST(NeuronWaves, InputWavesOfAnMlpAreItsWeights) {
  auto seen = random_mlp({.embedding = MlpConfig::Embedding::untied,
                          .hidden = MlpConfig::Hidden::untied,
                          .d_embed = 6,
                          .d_mlp = 9,
                          .bias = true},
                         11);
  const auto observation = seen.observe();
  const auto recorder = measured(observation);
  const auto order = tensor(recorder, "drawn").to(torch::kInt64);
  const auto weights =
      observation.weight("embed.W_E_a").matmul(observation.weight("mlp.W_in_a")).narrow(0, 0, 11);
  const auto expected = (weights - weights.mean(0)).t().index_select(0, order);
  EXPECT_TRUE(torch::allclose(tensor(recorder, "input_waves"), expected, 0, kRounding));
  const auto W_L = observation.weight("mlp.W_out").matmul(observation.weight("unembed.W_U"));
  const auto output = (W_L - W_L.mean(1, true)).index_select(0, order);
  EXPECT_TRUE(torch::allclose(tensor(recorder, "output_waves"), output, 0, kRounding));
}

// The star of each neuron against a sum over cosines and sines.
TEST(NeuronWaves, StarsAreFourierCoefficients) {
  for (const int64_t n : {11, 12}) {
    auto seen = random_mlp({.d_embed = 6, .d_mlp = 20}, n);
    const auto observation = seen.observe();
    const auto recorder = measured(observation, R"({"threshold": 0})");
    const auto weights =
        observation.weight("embed.W_E").matmul(observation.weight("mlp.W_in")).narrow(0, 0, n);
    const auto star = tensor(recorder, "star/left"), frequency = tensor(recorder, "neuron_frequency");
    std::set<int64_t> seen_frequencies;
    for (int64_t h = 0; h < 20; ++h) {
      const auto k = frequency[h].item<int64_t>();
      seen_frequencies.insert(k);
      double cosine = 0, sine = 0;
      for (int64_t a = 0; a < n; ++a) {
        cosine += weights[a][h].item<double>() * std::cos(angle(k, a, n)) * (2 * k == n ? 1 : 2) / double(n);
        sine += weights[a][h].item<double>() * std::sin(angle(k, a, n)) * 2 / double(n);
      }
      EXPECT_NEAR(star[h][0].item<double>(), cosine, kRounding);
      EXPECT_NEAR(star[h][1].item<double>(), sine, kRounding);
    }
    EXPECT_GT(seen_frequencies.size(), 2u);
  }
}

TEST(NeuronWaves, RandomWeightsFormNoGroupsAndDoubleNoAngles) {
  auto mlp = random_mlp({.embedding = MlpConfig::Embedding::input_tied, .d_embed = 32, .d_mlp = 512}, 59);
  auto transformer = random_transformer({}, 59);
  for (ModelOnGrid* seen : {&mlp, &transformer}) {
    const auto recorder = measured(seen->observe());
    EXPECT_EQ(scalar(recorder, "n_groups"), 0);
    EXPECT_TRUE(key_frequencies(recorder).empty());
    EXPECT_EQ(scalar(recorder, "logit_share"), 0);
    // A mean of 512 cosines of random phases has standard deviation sqrt(1/2/512) = 0.031, unequal weights
    // make it a little more: five of them.
    EXPECT_LT(std::abs(scalar(recorder, "angle_doubling")), 0.16);
    EXPECT_NEAR(scalar(recorder, "rest/logit_share"), 1, 1e-9);
    for (const auto& [name, value] : recorder.record().scalars)
      EXPECT_TRUE(std::isfinite(value) || (name == "rest/margin_share" && scalar(recorder, "margin") <= 0))
          << name;
  }
}

TEST(NeuronWaves, WhatWeightDecayHasKilledIsInNoGroup) {
  std::vector<Neuron> neurons;
  for (int64_t h = 0; h < 5; ++h) neurons.push_back({3, 1, double(h), double(h), 1, 2.0 * double(h)});
  neurons.push_back({4, 1e-2, 0, 0, 1e-1, 0});
  Network network(addition(11));
  build(network, neurons);
  EXPECT_EQ(key_frequencies(measured(network.observe())), std::vector<int64_t>{3});
  EXPECT_EQ(key_frequencies(measured(network.observe(), R"({"min_size": 1e-4})")),
            (std::vector<int64_t>{3, 4}));
}

TEST(NeuronWaves, OnlyTheLargestAreDrawn) {
  std::vector<Neuron> neurons;
  for (int64_t h = 0; h < 8; ++h) neurons.push_back({1 + h % 3, 1 + double(h), double(h), double(h), 1, 0});
  Network network(addition(11));
  build(network, neurons);
  const auto recorder = measured(network.observe(), R"({"max_drawn": 4})");
  const auto drawn =
      tensor(recorder, "drawn");  // 4 5 6 7 have k = 2 3 1 2 and phases 4 - 2 pi, ..., 7 - 2 pi
  EXPECT_TRUE(drawn.equal(torch::tensor({6, 4, 7, 5}, torch::kInt32)));
  const auto& figures = recorder.record().figures;
  ASSERT_EQ(figures.size(), 9u);
  for (const Figure& figure : figures) EXPECT_FALSE(figure.x_label.empty() || figure.y_label.empty());
  EXPECT_TRUE(figures[0].traces[0].z.equal(tensor(recorder, "input_waves")));
  EXPECT_TRUE(figures[1].traces[0].z.equal(tensor(recorder, "output_waves")));
  ASSERT_EQ(figures[2].traces.size(), 3u);
  EXPECT_EQ(figures[3].traces[2].name, "k=3");
  EXPECT_NEAR(figures[2].traces[2].x[1].item<double>(), 6 * std::cos(5), kRounding);  // neuron 5
  for (const size_t heatmap : {0, 1})
    EXPECT_EQ(figures[heatmap].y_ticks, (std::vector<std::string>{"k=1: 6", "k=2: 4", "k=2: 7", "k=3: 5"}));
  for (const size_t scatter : {2, 3, 4}) EXPECT_TRUE(figures[scatter].equal_axes);
}

TEST(NeuronWaves, AngleDoublingIsDrawnOnTheDiagonal) {
  std::vector<Neuron> neurons;
  for (int64_t h = 0; h < 5; ++h) neurons.push_back({2, 1, double(h), double(h) + 1, 1, 2 * double(h) + 1});
  neurons.push_back({3, 1, 2, 2, 1, 1});
  Network network(addition(11));
  build(network, neurons);
  const auto recorder = measured(network.observe());
  const auto& figure = recorder.record().figures[4];
  EXPECT_EQ(figure.name, "angle_doubling");
  ASSERT_EQ(figure.traces.size(), 2u);
  EXPECT_TRUE(torch::allclose(figure.traces[0].x, figure.traces[0].y, 0, kRounding));
  EXPECT_NEAR(figure.traces[0].x[4].item<double>(), 9 - 2 * M_PI, kRounding);
  EXPECT_NEAR(figure.traces[1].x[0].item<double>(), 4 - 2 * M_PI, kRounding);
  EXPECT_NEAR(figure.traces[1].y[0].item<double>(), 1, kRounding);
}

TEST(NeuronWaves, NeuronsInNoGroupAreDrawnApart) {
  auto seen = random_mlp({.d_embed = 6, .d_mlp = 20}, 11);
  const auto recorder = measured(seen.observe(), R"({"threshold": 1.0, "max_drawn": 3})");
  const auto& figures = recorder.record().figures;
  for (const size_t scatter : {2, 3, 4}) {
    ASSERT_EQ(figures[scatter].traces.size(), 1u);
    EXPECT_EQ(figures[scatter].traces[0].name, "no group");
    EXPECT_EQ(figures[scatter].traces[0].x.size(0), 20);
  }
  EXPECT_TRUE(figures[2].traces[0].y.equal(tensor(recorder, "star/left").select(1, 1)));
  const auto first = tensor(recorder, "drawn")[0].item<int64_t>();
  EXPECT_EQ(figures[0].y_ticks.at(0), "no group: " + std::to_string(first));
}

TEST(NeuronWaves, SaysSomethingFiniteOfANetworkOfZeros) {
  auto seen = random_mlp({.d_embed = 4, .d_mlp = 3}, 5);
  for (auto& weight : seen.model->weights()) weight.value.set_data(torch::zeros_like(weight.value));
  ModelOnGrid dead(seen.task, std::move(seen.model));
  const auto recorder = measured(dead.observe());
  EXPECT_EQ(scalar(recorder, "n_groups"), 0);
  EXPECT_EQ(scalar(recorder, "angle_doubling"), 0);
  EXPECT_TRUE(std::isnan(scalar(recorder, "rest/margin_share")));  // of a margin of 0
  for (const auto& [name, value] : recorder.record().scalars)
    EXPECT_TRUE(std::isfinite(value) || name == "rest/margin_share") << name;
}

TEST(NeuronWaves, RefusesGatedNeurons) {
  const auto refusal = make_probe()->needs().refusal;
  for (const bool gated : {false, true}) {
    const auto seen =
        random_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12, .gated_mlp = gated}, 5);
    EXPECT_EQ(refusal(*seen.model, seen.task.spec),
              gated ? "it takes mlp.hook_pre for all that a neuron reads; this model has gated_mlp" : "");
  }
}

// A part of the logits is W_out W_U of its neurons only where nothing rescales the stream behind them.
TEST(NeuronWaves, RefusesANormalisationBehindTheNeurons) {
  using C = TransformerConfig;
  const auto refusal = make_probe()->needs().refusal;
  const auto said = [&](C::Normalization type, C::NormalizationPlace place, bool final_norm) {
    C config{.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12};
    config.normalization_type = type;
    config.normalization_place = place;
    config.final_norm = final_norm;
    const auto seen = random_transformer(config, 5);
    return refusal(*seen.model, seen.task.spec);
  };
  using Type = C::Normalization;
  using Place = C::NormalizationPlace;
  EXPECT_EQ(said(Type::none, Place::pre, true), "");
  EXPECT_EQ(said(Type::LN, Place::pre, false), "");
  for (const auto& why : {said(Type::LNPre, Place::pre, true), said(Type::RMS, Place::post, false)})
    EXPECT_NE(why.find("W_out W_U for what neurons add to the logits"), std::string::npos) << why;
}

// Whatever attention does: the share of a group is that of what its ablation takes from the logits.
TEST(NeuronWaves, ContributionsAreWhatAblationTakes) {
  using C = TransformerConfig;
  C config{.d_model = 16, .n_heads = 2, .d_head = 8, .d_mlp = 12};
  std::vector<C> all(5, config);
  all[1].attn_coeff = 0.3;
  all[2].positional_embedding_type = C::PositionalEmbedding::rotary;
  all[3].attention_dir = C::AttentionDir::bidirectional;
  all[4].normalization_type = C::Normalization::RMS;
  all[4].final_norm = false;
  for (const C& one : all) {
    auto seen = random_transformer(one, 5);
    // With two frequencies, each neuron has half of its variance or more in one.
    const auto recorder = measured(seen.observe(), R"({"threshold": 0.5, "min_size": 0})");
    const auto groups = tensor(recorder, "neuron_group");
    const auto tokens = seen.task.split.grid->tokens;
    const auto logits = [&](const std::vector<Hook>& hooks) {
      const torch::NoGradGuard no_grad;
      const auto at_end = run_with_hooks(*seen.model, tokens, hooks).select(1, -1).to(torch::kFloat64);
      return at_end - at_end.mean(1, true);
    };
    const auto whole = logits({});
    for (const int64_t k : {1, 2}) {
      const auto others = (groups != k).to(torch::kFloat32);
      const auto part =
          whole - logits({{"blocks.0.mlp.hook_post", [&](const torch::Tensor& x) { return x * others; }}});
      const double share = (part * whole).sum().item<double>() / whole.square().sum().item<double>();
      EXPECT_NEAR(scalar(recorder, "k=" + std::to_string(k) + "/logit_share"), share, kRounding);
    }
  }
}

TEST(NeuronWaves, RefusesTwoLayersOfNeurons) {
  auto two = random_mlp({.d_embed = 4, .d_mlp = 5, .n_hidden = 2}, 5);
  EXPECT_THROW(measured(two.observe()), UsageError);
}

}  // namespace
}  // namespace orrery::testing
