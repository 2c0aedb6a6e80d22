#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <algorithm>

namespace orrery::testing {
namespace {

Recorder measured(Network& network, const std::string& parameters = "{}") {
  const auto probe = make_probe(parameters);
  const auto observation = network.observe();
  Recorder recorder;
  probe->measure(observation, recorder);
  return recorder;
}

TEST(FourierBasis, ReadsANetworkOfWaves) {
  for (const CyclicTask& task : {addition(17), addition(16), subtraction(17), multiplication(17, 3)}) {
    Network network(task);
    build_waves(network, {2, 5, 7}, 20);
    const auto recorder = measured(network);
    const double n = double(network.order());
    EXPECT_EQ(key_frequencies(recorder), (std::vector<int64_t>{2, 5, 7}));
    EXPECT_EQ(scalar(recorder, "n_key_frequencies"), 3);
    EXPECT_NEAR(scalar(recorder, "logit_variance_explained"), 1, 1e-6);
    EXPECT_EQ(scalar(recorder, "neurons/k=5"), 3);
    EXPECT_EQ(scalar(recorder, "neurons/clustered"), 9);
    // 20 cos w_k(i + j - c) over n^3 triples has norm 20 sqrt(n^3 / 2).
    EXPECT_NEAR(scalar(recorder, "logit_coefficient/k=7"), 20 * std::sqrt(n * n * n / 2), 1e-3);
    const auto norms = tensor(recorder, "norms/W_E");
    for (int64_t k = 0; k < norms.size(0); ++k) {
      const bool key = k == 2 || k == 5 || k == 7;
      EXPECT_NEAR(norms[k].item<double>(), key ? std::sqrt(n) : 0, 1e-5) << k;
      // W_out W_U: each of the waves twice.
      EXPECT_NEAR(tensor(recorder, "norms/W_L")[k].item<double>(), key ? std::sqrt(2 * n) : 0, 1e-5) << k;
    }
    EXPECT_NEAR(scalar(recorder, "gini/W_E"), 1 - 3.0 / double(network.order() / 2), 1e-5);  // 3 of n/2 equal
    EXPECT_NEAR(tensor(recorder, "neuron_share").min().item<double>(), 1, 1e-5);
    EXPECT_EQ(recorder.record().headlines,
              (std::vector<std::string>{"n_key_frequencies", "logit_variance_explained"}));
  }
}

// With act_fn "square", 0.8 of each neuron is at frequency 1 and so is 2/3 of the logits (operands_test). W_E
// holds cos wa and sin wa, W_L the waves cos(2 theta - wc) of N neurons.
TEST(FourierBasis, ReadsTheConstructedSolutionOfAnMlp) {
  const int64_t n = 17, N = 7;
  for (const auto embedding : {MlpConfig::Embedding::tied, MlpConfig::Embedding::input_tied,
                               MlpConfig::Embedding::untied, MlpConfig::Embedding::circular}) {
    SCOPED_TRACE(name_of(embedding));
    auto seen = constructed_mlp(
        {.embedding = embedding, .d_embed = 2, .d_mlp = N, .act_fn = MlpConfig::ActFn::square}, n);
    const auto probe = make_probe(R"({"threshold": 0.75})");
    for (const auto& glob : probe->needs().activations) EXPECT_NO_THROW(find_hook_points(*seen.model, glob));
    for (const auto& glob : probe->needs().weights)
      EXPECT_TRUE(std::any_of(seen.model->weights().begin(), seen.model->weights().end(),
                              [&](const NamedWeight& weight) { return matches(glob, weight.name); }));
    const auto observation = seen.observe();
    Recorder recorder;
    probe->measure(observation, recorder);
    EXPECT_EQ(key_frequencies(recorder), std::vector<int64_t>{1});
    EXPECT_EQ(scalar(recorder, "neurons/k=1"), N);
    EXPECT_NEAR(scalar(recorder, "logit_variance_explained"), 2.0 / 3, 1e-5);
    const auto W_E = tensor(recorder, "norms/W_E"), W_L = tensor(recorder, "norms/W_L");
    for (int64_t k = 0; k < W_E.size(0); ++k) {
      EXPECT_NEAR(W_E[k].item<double>(), k == 1 ? std::sqrt(double(n)) : 0, 1e-5) << k;
      EXPECT_NEAR(W_L[k].item<double>(), k == 1 ? std::sqrt(double(N * n) / 2) : 0, 1e-5) << k;
    }
  }
}

// One neuron of each kind: 3 + cos w_2 a + cos w_2 b, always on; cos w_5 a cos w_5 b; and cos w_3 a cos w_4
// b, which no one frequency explains. The logits are waves of the sum.
TEST(FourierBasis, SaysWhereTheEnergyOfTheTransformIs) {
  const int64_t n = 17;
  Network network(addition(n));
  build_waves(network, {2, 5}, 1);
  const auto tokens = network.task.split.grid->tokens;
  auto post = torch::zeros({n * n, 1, 3}), operand = torch::zeros({n * n, 1, n});
  for (int64_t row = 0; row < n * n; ++row) {
    const int64_t a = tokens[row][0].item<int64_t>(), b = tokens[row][1].item<int64_t>();
    post[row][0][0] = 3 + std::cos(angle(2, a, n)) + std::cos(angle(2, b, n));
    post[row][0][1] = 2 * std::cos(angle(5, a, n)) * std::cos(angle(5, b, n));
    post[row][0][2] = 2 * std::cos(angle(3, a, n)) * std::cos(angle(4, b, n));
    for (int64_t c = 0; c < n; ++c) operand[row][0][c] = std::cos(angle(6, a - c, n));
  }
  network.cache.put("blocks.0.mlp.hook_post", post);
  network.cache.put("blocks.0.mlp.hook_pre", post.slice(2, 0, 2));  // the first two
  const auto recorder = measured(network, R"({"rule": "given", "frequencies": [2, 5]})");
  EXPECT_EQ(scalar(recorder, "neurons/always_on"), 1);
  // Each has the variance 1: 1/2 + 1/2, 4/4 and 4/4.
  EXPECT_NEAR(scalar(recorder, "neurons_2d/one_operand"), 1.0 / 3, 1e-5);
  EXPECT_NEAR(scalar(recorder, "neurons_2d/same_frequency"), 1.0 / 3, 1e-5);
  EXPECT_NEAR(scalar(recorder, "pre_activations_2d/one_operand"), 1.0 / 2, 1e-5);
  EXPECT_NEAR(scalar(recorder, "pre_activations_2d/same_frequency"), 1.0 / 2, 1e-5);
  EXPECT_NEAR(scalar(recorder, "neuron_variance_explained"), 2.0 / 3, 1e-5);
  EXPECT_NEAR(scalar(recorder, "logits_2d/same_frequency"), 1, 1e-5);
  EXPECT_NEAR(scalar(recorder, "logits_2d/one_operand"), 0, 1e-5);
  network.logits = operand;
  const auto of_one = measured(network, R"({"rule": "given", "frequencies": [2, 5]})");
  EXPECT_NEAR(scalar(of_one, "logits_2d/one_operand"), 1, 1e-5);
  EXPECT_NEAR(scalar(of_one, "logits_2d/same_frequency"), 0, 1e-5);
}

TEST(FourierBasis, FindsNothingInNoise) {
  Network network(addition(31));
  build_noise(network, 4);
  const auto recorder = measured(network);
  EXPECT_TRUE(key_frequencies(recorder).empty());
  EXPECT_EQ(scalar(recorder, "logit_variance_explained"), 0);
  EXPECT_EQ(scalar(recorder, "neurons/clustered"), 0);
  EXPECT_LT(tensor(recorder, "neuron_share").max().item<double>(), 0.85);
  EXPECT_LT(scalar(recorder, "gini/W_E"), 0.2);
}

TEST(FourierBasis, ExplainsTheShareOfTheVarianceThatIsWaves) {
  Network network(addition(17));
  build_waves(network, {2, 5}, 1);
  // A wave of the difference, orthogonal to those of the sum, with the energy of one of them.
  const auto tokens = network.task.split.grid->tokens;
  auto other = torch::zeros_like(network.logits);
  for (int64_t row = 0; row < tokens.size(0); ++row)
    for (int64_t c = 0; c < 17; ++c)
      other[row][0][c] =
          std::cos(angle(2, tokens[row][0].item<int64_t>() - tokens[row][1].item<int64_t>() - c, 17));
  network.logits = network.logits + other + 3;
  EXPECT_NEAR(scalar(measured(network), "logit_variance_explained"), 2.0 / 3, 1e-6);
}

TEST(FourierBasis, SumsTheSquaresOfEveryWeight) {
  Network network(addition(11));
  build_noise(network, 4);
  const auto recorder = measured(network);
  for (const auto& [name, weight] : network.model.weights()) {
    double sum = 0;
    const auto flat = weight.detach().flatten();
    for (int64_t i = 0; i < flat.numel(); ++i) sum += std::pow(flat[i].item<double>(), 2);
    EXPECT_NEAR(scalar(recorder, "sum_of_squares/" + name), sum, 1e-9 * sum);
  }
}

TEST(FourierBasis, ACheckpointStaysSmall) {
  Network network(addition(113));
  build_noise(network, 4, 512);
  const auto recorder = measured(network);
  size_t bytes = 0;
  for (const auto& [name, value] : recorder.record().tensors) bytes += value.nbytes();
  for (const auto& figure : recorder.record().figures)
    for (const auto& trace : figure.traces)
      for (const auto& part : {trace.x, trace.y, trace.z}) bytes += part.defined() ? part.nbytes() : 0;
  EXPECT_LT(bytes, 130'000u);  // two heatmaps of 113 x 113, of 51 KB each
}

const Figure& figure(const Recorder& recorder, const std::string& name) {
  for (const Figure& recorded : recorder.record().figures)
    if (recorded.name == name) return recorded;
  throw std::out_of_range("no figure " + name);
}

TEST(FourierBasis, FiguresAreWhatWasRecorded) {
  Network network(addition(17));
  build_waves(network, {2, 5, 7}, 20);
  const auto recorder = measured(network);
  ASSERT_EQ(recorder.record().figures.size(), 5u);
  for (const Figure& drawn : recorder.record().figures) {
    EXPECT_FALSE(drawn.x_label.empty() || drawn.y_label.empty());
    const bool heatmap = drawn.kind == Figure::Kind::heatmap;
    EXPECT_EQ(drawn.x_ticks.size(), heatmap ? 17u : 0u);
    EXPECT_EQ(drawn.y_ticks, drawn.x_ticks);
  }
  // cos and sin together make the norm of a frequency.
  for (const auto& [name, of] : {std::pair{"norms_w_e", "norms/W_E"}, {"norms_w_l", "norms/W_L"}}) {
    const auto& traces = figure(recorder, name).traces;
    const auto both = (traces[0].y.square() + traces[1].y.square()).sqrt().to(torch::kFloat64);
    EXPECT_TRUE(torch::allclose(both, tensor(recorder, of).narrow(0, 1, 8), 1e-5, 1e-5));
    EXPECT_EQ(traces[0].x[7].item<int64_t>(), 8);
  }
  const auto height = figure(recorder, "logit_coefficients").traces[0].y;
  for (int64_t k = 1; k <= 8; ++k)
    EXPECT_NEAR(height[k - 1].item<double>(), k == 2 || k == 5 || k == 7 ? 20 : 0, 1e-4) << k;
  EXPECT_NEAR(tensor(recorder, "neuron_energy").sum().item<double>(), 1, 1e-6);
  // cos w_5 j: half of a third
  EXPECT_NEAR(tensor(recorder, "neuron_energy")[0][5].item<double>(), 1.0 / 6, 1e-6);
}

TEST(FourierBasis, HeightsAreThoseOfTheWavesAtEvenOrdersToo) {
  Network network(addition(16));
  build_waves(network, {3, 8}, 20);
  const auto height = figure(measured(network), "logit_coefficients").traces[0].y;
  EXPECT_NEAR(height[2].item<double>(), 20, 1e-4);
  EXPECT_NEAR(height[7].item<double>(), 20, 1e-4);
}

// Of random functions, against the sum over all pairs; multiplication leaves 0 out and reorders the rest.
TEST(FourierBasis, TransformsInTwoDimensionsAreThoseOfTheDefinition) {
  for (const CyclicTask& task : {addition(6), multiplication(7, 3)}) {
    Network network(task);
    build_noise(network, 4, 3);
    const auto recorder = measured(network);
    const CyclicStructure& cyclic = *network.task.structure.cyclic;
    const int64_t n = cyclic.order;
    const auto tokens = network.task.split.grid->tokens;
    const auto basis = fourier_basis(n);
    const auto root_mean_squares = [&](const torch::Tensor& values) {  // [grid, m] -> [n, n]
      auto sums = torch::zeros({n, n, values.size(1)}, torch::kFloat64);
      for (int64_t row = 0; row < tokens.size(0); ++row) {
        const int64_t i = cyclic.left[tokens[row][0].item<int64_t>()];
        const int64_t j = cyclic.right[tokens[row][1].item<int64_t>()];
        if (i < 0 || j < 0) continue;
        const auto waves = basis.select(1, i).unsqueeze(1) * basis.select(1, j);  // [n, n]
        sums += waves.unsqueeze(2) * values[row];
      }
      sums[0][0] = 0;
      return (sums.square().mean(2) / double(n * n)).sqrt();
    };
    std::vector<int64_t> classes;
    for (size_t c = 0; c < cyclic.result.size(); ++c)
      if (cyclic.result[c] >= 0) classes.push_back(int64_t(c));
    const auto logits =
        network.logits.select(1, 0).to(torch::kFloat64).index_select(1, torch::tensor(classes));
    const auto neurons = network.cache["blocks.0.mlp.hook_post"].select(1, 0).to(torch::kFloat64);
    const auto drawn = [&](const char* name) {
      return figure(recorder, name).traces[0].z.to(torch::kFloat64);
    };
    EXPECT_TRUE(torch::allclose(drawn("neurons_2d"), root_mean_squares(neurons), 0, 1e-5));
    EXPECT_TRUE(
        torch::allclose(drawn("logits_2d"), root_mean_squares(logits - logits.mean(1, true)), 0, 1e-5));
  }
}

TEST(FourierBasis, RefusesWhatItCannotRead) {
  Network no_structure(addition(11)), two_layers(addition(11));
  build_noise(no_structure, 4);
  no_structure.task.structure.cyclic.reset();
  EXPECT_THROW(measured(no_structure), UsageError);
  build_noise(two_layers, 4);
  two_layers.cache.put("blocks.1.mlp.hook_pre", two_layers.cache["blocks.0.mlp.hook_pre"]);
  two_layers.cache.put("blocks.1.mlp.hook_post", two_layers.cache["blocks.0.mlp.hook_post"]);
  EXPECT_THROW(measured(two_layers), UsageError);
  EXPECT_EQ(make_probe()->needs().structure, std::vector<Capability>{Capability::cyclic});
}

}  // namespace
}  // namespace orrery::testing
