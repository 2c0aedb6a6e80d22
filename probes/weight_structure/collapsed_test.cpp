// An mlp as the two matrices that its weights multiply to.
#include <gtest/gtest.h>
#include <orrery/mlp.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

Recorder weights_measured(Model& model, const CyclicTask& task) {
  const torch::NoGradGuard no_grad;
  const Observation observation{0, task.spec, task.structure, {}, {}, model, {}, {}};
  Recorder recorder;
  make_probe()->measure(observation, recorder);
  return recorder;
}

// Pearce et al. 2023: 24 neurons and 67 numbers are 3,216 parameters, however many the embedding makes of
// them. What the matrices are is seen in the activations: one operand alone, and one neuron alone.
TEST(WeightStructure, AnMlpIsTwoMatricesWhateverTheyAreProductsOf) {
  const CyclicTask task = addition(67);
  using C = MlpConfig::Collapse;
  for (const auto& [collapse, embedding, n_trained] :
       {std::tuple{C::none, MlpConfig::Embedding::tied, 68 * 500 + 2 * 500 * 24},
        {C::both, MlpConfig::Embedding::input_tied, 68 * 24 + 24 * 67},
        {C::output, MlpConfig::Embedding::untied, -1},
        {C::none, MlpConfig::Embedding::circular, 2 * 24 + 24 * 2}}) {
    MlpConfig config;
    config.collapse = collapse;
    config.embedding = embedding;
    config.d_embed = embedding == MlpConfig::Embedding::circular ? 2 : 500;
    config.d_mlp = 24;
    const auto model = make_mlp(config, task.spec, make_generator(1));
    const auto recorder = weights_measured(*model, task);
    if (n_trained > 0) {
      EXPECT_EQ(scalar(recorder, "n_parameters"), n_trained);
    }
    const bool shared = model->find_weight("mlp.W_in") != nullptr;
    EXPECT_EQ(scalar(recorder, "collapsed/n_parameters"), (shared ? 2 : 3) * 24 * 67);
  }
}

// W_input of the constructed solution is cos(theta_i - 2 pi a/p), and W_output its double angle: sums of
// squares N p / 2.
TEST(WeightStructure, TheNormOfTheTwoMatrices) {
  const CyclicTask task = addition(13);
  for (const MlpConfig::Collapse collapse : {MlpConfig::Collapse::none, MlpConfig::Collapse::both}) {
    MlpConfig config;
    config.embedding = MlpConfig::Embedding::input_tied;
    config.collapse = collapse;
    config.d_embed = 2;
    config.d_mlp = 5;
    config.init = MlpConfig::Init::constructed;
    const auto model = make_mlp(config, task.spec, make_generator(1));
    EXPECT_NEAR(scalar(weights_measured(*model, task), "collapsed/norm"), std::sqrt(5 * 13), 1e-4);
  }
}

// Of the constructed solution: p numbers of norm 1 on a circle, N directions of norm 1 on either side.
TEST(WeightStructure, TheNormsOfTheFactors) {
  const int64_t p = 13, N = 5;
  const CyclicTask task = addition(p);
  using E = MlpConfig::Embedding;
  using C = MlpConfig::Collapse;
  const auto of = [&](E embedding, C collapse, MlpConfig::Hidden hidden = MlpConfig::Hidden::tied) {
    MlpConfig config;
    config.embedding = embedding;
    config.hidden = hidden;
    config.collapse = collapse;
    config.d_embed = 2;
    config.d_mlp = N;
    config.init = MlpConfig::Init::constructed;
    const auto model = make_mlp(config, task.spec, make_generator(1));
    const auto recorder = weights_measured(*model, task);
    const double both = hidden == MlpConfig::Hidden::untied ? 2 : 1;
    EXPECT_NEAR(scalar(recorder, "collapsed/norm_input"), std::sqrt(both * N * p / 2.0), 1e-4);
    EXPECT_NEAR(scalar(recorder, "collapsed/norm_output"), std::sqrt(N * p / 2.0), 1e-4);
    return std::pair(scalar(recorder, "factors/norm_input"), scalar(recorder, "factors/norm_output"));
  };
  const double one = std::sqrt(double(N * p) / 2), factored = std::sqrt(double(N + p));
  const auto expect = [](std::pair<double, double> found, double input, double output) {
    EXPECT_NEAR(found.first, input, 1e-4);
    EXPECT_NEAR(found.second, output, 1e-4);
  };
  expect(of(E::tied, C::none), factored, factored);
  expect(of(E::input_tied, C::none), factored, factored);
  expect(of(E::input_tied, C::input), one, factored);
  expect(of(E::input_tied, C::output), factored, one);
  expect(of(E::input_tied, C::both), one, one);
  expect(of(E::circular, C::none), std::sqrt(double(N)), std::sqrt(double(N)));
  expect(of(E::tied, C::none, MlpConfig::Hidden::untied), std::sqrt(double(2 * N + p)), factored);
  expect(of(E::untied, C::none, MlpConfig::Hidden::untied), std::sqrt(double(2 * N + 2 * p)), factored);
}

}  // namespace
}  // namespace orrery::testing
