#include "groups.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

using torch::Tensor;

Recorder measured(ModelOnGrid& network, const std::string& parameters = "{}") {
  Recorder recorder;
  make_probe(parameters)->measure(network.observe(), recorder);
  return recorder;
}

const Figure& figure(const Recorder& recorder, const std::string& name) {
  for (const Figure& drawn : recorder.record().figures)
    if (drawn.name == name) return drawn;
  throw std::out_of_range("no figure " + name);
}

// The constructed solution with a circle for an embedding, N neurons at theta = 2 pi h / N.
ModelOnGrid constructed(int64_t N, int64_t p) {
  return constructed_mlp(
      {.embedding = MlpConfig::Embedding::circular, .d_embed = 2, .d_mlp = N, .bias = false}, p);
}
double pre(int64_t h, int64_t N, int64_t a, int64_t b, int64_t p) {
  const double theta = 2 * M_PI * double(h) / double(N);
  return std::cos(theta - angle(1, a, p)) + std::cos(theta - angle(1, b, p));
}

// "For any pair of a and b, there are always either two or three neurons simultaneously on" (Pearce et al.
// 2023).
TEST(NeuronGroups, OfFiveNeuronsTwoOrThreeAreActive) {
  const int64_t N = 5, p = 67;
  auto network = constructed(N, p);
  const auto recorder = measured(network);
  double sum = 0, least = N, most = 0;
  for (int64_t a = 0; a < p; ++a)
    for (int64_t b = 0; b < p; ++b) {
      double active = 0;
      for (int64_t h = 0; h < N; ++h) active += pre(h, N, a, b, p) > 0;
      sum += active, least = std::min(least, active), most = std::max(most, active);
    }
  EXPECT_EQ(least, 2);
  EXPECT_EQ(most, 3);
  for (const std::string of : {"", "k=1/"}) {
    EXPECT_EQ(scalar(recorder, of + "active_neurons/min"), 2);
    EXPECT_EQ(scalar(recorder, of + "active_neurons/max"), 3);
    EXPECT_NEAR(scalar(recorder, of + "active_neurons/mean"), sum / double(p * p), 1e-9);
  }
}

// Of random weights half of the neurons are active, of some pairs many more or fewer.
TEST(NeuronGroups, OfRandomWeightsAnyNumberIsActive) {
  auto network = random_mlp({.d_embed = 20, .d_mlp = 24}, 13);
  const auto recorder = measured(network);
  EXPECT_LT(scalar(recorder, "active_neurons/min"), 9);
  EXPECT_GT(scalar(recorder, "active_neurons/max"), 15);
  EXPECT_NEAR(scalar(recorder, "active_neurons/mean"), 12, 3);
  EXPECT_EQ(scalar(recorder, "group_logits/correlation"), 0);
  EXPECT_TRUE(figure(recorder, "wave_lines").traces.empty());
}

TEST(NeuronGroups, LogitsOfOneInputAreTheCosine) {
  const int64_t N = 7, p = 17, a = 3, b = 9;
  auto network = constructed(N, p);
  const auto recorder = measured(network, R"({"input": [3, 9]})");
  std::vector<double> logits(p), wave(p);
  for (int64_t c = 0; c < p; ++c) {
    for (int64_t h = 0; h < N; ++h)
      logits[c] +=
          std::max(0.0, pre(h, N, a, b, p)) * std::cos(4 * M_PI * double(h) / double(N) - angle(1, c, p));
    wave[c] = std::cos(angle(1, a + b - c, p));
  }
  double xy = 0, xx = 0, yy = 0;
  for (int64_t c = 0; c < p; ++c)
    xy += logits[c] * wave[c], xx += logits[c] * logits[c], yy += wave[c] * wave[c];
  EXPECT_NEAR(scalar(recorder, "k=1/logit_correlation"), xy / std::sqrt(xx * yy), 1e-5);
  EXPECT_NEAR(scalar(recorder, "group_logits/correlation"), xy / std::sqrt(xx * yy), 1e-5);
  EXPECT_GT(scalar(recorder, "group_logits/correlation"), 0.999);
  const Figure& drawn = figure(recorder, "group_logits");
  ASSERT_EQ(drawn.traces.size(), 2u);
  EXPECT_EQ(drawn.traces[0].facet, "k=1");
  EXPECT_EQ(drawn.title, "What each group adds to the logits for a = 3, b = 9, beside cos w_k(a + b - c)");
  for (int64_t c = 0; c < p; ++c) {
    EXPECT_NEAR(drawn.traces[0].y[c].item<double>(), logits[c], 1e-5);
    EXPECT_NEAR(drawn.traces[1].y[c].item<double>(), wave[c] * xy / yy, 1e-5);
  }
}

// Neurons that are off add nothing; the rows add up to the logits.
TEST(NeuronGroups, ContributionsOfOneInputAreActivationsTimesWaves) {
  const int64_t N = 5, p = 13;
  auto network = constructed(N, p);
  const auto recorder = measured(network);
  const auto drawn = tensor(recorder, "drawn");
  const Tensor z = figure(recorder, "neuron_contributions").traces.at(0).z;
  const int64_t a = p / 3, b = p / 4;
  for (int64_t row = 0; row < N; ++row) {
    const auto h = drawn[row].item<int64_t>();
    for (int64_t c = 0; c < p; ++c)
      EXPECT_NEAR(
          z[row][c].item<double>(),
          std::max(0.0, pre(h, N, a, b, p)) * std::cos(4 * M_PI * double(h) / double(N) - angle(1, c, p)),
          1e-5);
  }
}

// 2 theta is about atan(sum of relu(cos(theta - theta_h)) (sin, cos)(2 theta_h)), to 0.027 for five neurons,
// 0.055 for eight.
TEST(NeuronGroups, TheOutputHasTwiceTheAngleOfTheInput) {
  const int64_t p = 67;
  for (const int64_t N : {5, 8}) {
    auto network = constructed(N, p);
    const auto recorder = measured(network);
    double largest = 0;
    for (int64_t s = 0; s < p; ++s) {
      double x = 0, y = 0;
      for (int64_t a = 0; a < p; ++a)
        for (int64_t h = 0; h < N; ++h) {
          const double on = std::max(0.0, pre(h, N, a, (s - a + p) % p, p)),
                       at = 4 * M_PI * double(h) / double(N);
          x += on * std::cos(at), y += on * std::sin(at);
        }
      largest = std::max(largest, std::abs(std::remainder(std::atan2(y, x) - angle(1, s, p), 2 * M_PI)));
    }
    EXPECT_NEAR(scalar(recorder, "k=1/angle_error"), largest, 1e-5) << N;
    EXPECT_LT(largest, N == 5 ? 0.0275 : 0.056);
    EXPECT_GT(largest, N == 5 ? 0.02 : 0.04);
    EXPECT_EQ(figure(recorder, "output_angle").traces.at(0).x.size(0), p);
  }
}

// Two groups, of which the second is out of phase: it counts where it is a part of the logits.
TEST(NeuronGroups, GroupsThatHardlyMatterDoNotCount) {
  const int64_t n = 11;
  const Tensor post = torch::tensor({1.0, 1.0}, torch::kFloat64);
  Tensor output = torch::zeros({2, n}, torch::kFloat64);
  for (int64_t c = 0; c < n; ++c) {
    output[0][c] = std::cos(angle(1, 3 + 4 - c, n));
    output[1][c] = -0.1 * std::cos(angle(2, 3 + 4 - c, n));
  }
  const auto of = [&](double share) {
    Recorder recorder;
    const auto member = [](int64_t h) { return torch::tensor({h}, torch::kInt64); };
    neuron_waves::group_logits(post, output, {{1, member(0), 0.9}, {2, member(1), share}}, {3, 4}, recorder);
    EXPECT_NEAR(scalar(recorder, "k=1/logit_correlation"), 1, 1e-12);
    EXPECT_NEAR(scalar(recorder, "k=2/logit_correlation"), -1, 1e-12);
    return scalar(recorder, "group_logits/correlation");
  };
  EXPECT_NEAR(of(0.05), -1, 1e-12);
  EXPECT_NEAR(of(0.005), 1, 1e-12);
}

TEST(NeuronGroups, LinesAreTheLargestNeuronsOfEachGroup) {
  const int64_t N = 5, p = 13;
  auto network = constructed(N, p);
  const auto recorder = measured(network, R"({"max_lines": 3})");
  const Figure& lines = figure(recorder, "wave_lines");
  ASSERT_EQ(lines.traces.size(), 3u);
  for (const Trace& trace : lines.traces) {
    EXPECT_EQ(trace.name, "k=1");
    EXPECT_EQ(trace.facet, "k=1");
    EXPECT_NEAR(trace.y.square().sum().item<double>(), double(p) / 2, 1e-4);  // of cos(theta - wa)
  }
}

TEST(NeuronGroups, RefusesAnInputThatDoesNotExist) {
  for (const std::vector<int64_t>& given : {std::vector<int64_t>{1}, {1, 2, 3}, {1, 11}})
    EXPECT_THROW(neuron_waves::Input::chosen(given, 11), UsageError);
  EXPECT_EQ(neuron_waves::Input::chosen({}, 12).i, 4);
  EXPECT_EQ(neuron_waves::Input::chosen({}, 12).j, 3);
}

}  // namespace
}  // namespace orrery::testing
