#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace orrery::testing {
namespace {

using torch::Tensor;

// What the probe records of `now` with `end` for a reference.
Recorder compared(const std::unique_ptr<Network>& now, const std::unique_ptr<Network>& end,
                  const std::string& parameters = "{}") {
  const auto probe = make_probe(parameters);
  probe->fit(end->observe());
  Recorder recorder;
  probe->measure(now->observe(), recorder);
  return recorder;
}

using Built = std::unique_ptr<Network>;

Built waves(int64_t n, const std::vector<int64_t>& frequencies) {
  auto network = std::make_unique<Network>(addition(n));
  build_waves(*network, frequencies, 10);
  return network;
}
Built noise(int64_t n, uint64_t seed) {
  auto network = std::make_unique<Network>(addition(n));
  build_noise(*network, seed, /*d_mlp=*/9);
  return network;
}
// A network whose W_E is given, [n, d], and whose neurons are those of `of`.
Built with_embedding(const Network& of, const Tensor& W_E) {
  auto network = std::make_unique<Network>(of.task);
  network->logits = of.logits;
  network->cache = of.cache;
  network->model.give("embed.W_E", torch::cat({W_E, torch::zeros({1, W_E.size(1)})}).to(torch::kFloat32));
  network->model.give("blocks.0.mlp.W_out", torch::zeros({9, 2}));
  network->model.give("unembed.W_U", torch::zeros({2, of.task.spec.d_vocab_out}));
  return network;
}

// cos and sin of w_k x in columns of their own, times `height`: norm height sqrt(n/2) for each of the two.
Tensor circles(int64_t n, const std::vector<std::pair<int64_t, double>>& frequencies) {
  Tensor W_E = torch::zeros({n, 2 * int64_t(frequencies.size())}, torch::kFloat64);
  for (int64_t x = 0; x < n; ++x)
    for (size_t f = 0; f < frequencies.size(); ++f) {
      const auto [k, height] = frequencies[f];
      W_E[x][2 * int64_t(f)] = height * std::cos(angle(k, x, n));
      W_E[x][2 * int64_t(f) + 1] = height * std::sin(angle(k, x, n));
    }
  return W_E;
}

TEST(FinalStructure, ANetworkIsLikeItself) {
  for (const int64_t n : {17, 16}) {
    auto network = waves(n, {2, 5, 7});
    const auto recorder = compared(network, network);
    EXPECT_EQ(key_frequencies(recorder), (std::vector<int64_t>{2, 5, 7}));
    EXPECT_EQ(scalar(recorder, "keys_among_largest"), 1);
    EXPECT_EQ(scalar(recorder, "same_frequency"), 1);
    EXPECT_NEAR(scalar(recorder, "same_frequency/permuted"), 1.0 / 3, 1e-12);
    EXPECT_LT(scalar(recorder, "key_rank/p_value"), 0.1);
    EXPECT_EQ(recorder.record().headlines, (std::vector<std::string>{"key_rank", "circularity"}));
  }
}

// Norms of frequencies 1 to 5: 3, 9, 1, 7, 5. The final keys 2 and 5 are larger than 4 and 2 of the other
// four.
TEST(FinalStructure, RanksKeysByTheNormsOfTheCheckpoint) {
  const int64_t n = 11;
  const auto network = waves(n, {2, 5});
  const auto end = with_embedding(*network, circles(n, {{1, 0}, {2, 1}, {3, 0}, {4, 0}, {5, 1}}));
  const auto now = with_embedding(*network, circles(n, {{1, 3}, {2, 9}, {3, 1}, {4, 7}, {5, 5}}));
  const auto recorder = compared(now, end, R"({"n_random": 20000})");
  EXPECT_NEAR(scalar(recorder, "key_rank/k=2"), 1, 1e-12);
  EXPECT_NEAR(scalar(recorder, "key_rank/k=5"), 0.5, 1e-12);
  EXPECT_NEAR(scalar(recorder, "key_rank"), 0.75, 1e-12);
  EXPECT_NEAR(scalar(recorder, "keys_among_largest"), 0.5, 1e-12);
  // Of the ten pairs of ranks 0, 1/4, 1/2, 3/4, 1 two have a mean of 3/4 or more.
  EXPECT_NEAR(scalar(recorder, "key_rank/p_value"), 0.2, 0.02);
}

// Of an even number the last frequency has one function: equal heights are equal ranks.
TEST(FinalStructure, TheLastFrequencyIsNotAtADisadvantage) {
  const int64_t n = 8;
  auto end = waves(n, {1, 3});
  Tensor W_E = circles(n, {{1, 1}, {2, 1}, {3, 1}});
  // Norm sqrt(n) x height for cos(pi x), sqrt(n/2) for each of the others' two.
  W_E = torch::cat({W_E, circles(n, {{4, 1.1 / std::sqrt(2.0)}}).narrow(1, 0, 1)}, 1);
  const auto now = with_embedding(*end, W_E);
  const Tensor ranks = tensor(compared(now, now), "ranks");
  EXPECT_EQ(ranks[3].item<double>(), 1);
}

TEST(FinalStructure, NeuronsAreComparedOneByOne) {
  auto end = waves(13, {2, 3, 5}), now = waves(13, {2, 5, 6});  // three neurons each: 2 2 2 | 3 5 | 5 6
  const auto recorder = compared(now, end);
  EXPECT_NEAR(scalar(recorder, "same_frequency"), 3.0 / 9, 1e-12);
  // Pairs of equal frequency: of 2 with 2 and of 5 with 5.
  EXPECT_NEAR(scalar(recorder, "same_frequency/permuted"), 18.0 / 81, 1e-12);
}

// The circle of frequency 3 is in the columns 0 and 1 in the end. At the start these hold it with an eighth
// of noise at another frequency, and the other columns noise only.
TEST(FinalStructure, ProjectsOnTheFinalPrincipalComponents) {
  const int64_t n = 13;
  auto end = waves(n, {3});
  end = with_embedding(*end, torch::cat({circles(n, {{3, 2}}), torch::zeros({n, 6}, torch::kFloat64)}, 1));
  Tensor start = torch::randn({n, 8}, make_generator(2), torch::kFloat64);
  start.narrow(1, 0, 2).copy_(circles(n, {{3, std::sqrt(7.0)}}) + circles(n, {{5, 1}}));
  auto now = with_embedding(*end, start);
  const auto recorder = compared(now, end, R"({"n_planes": 1})");
  EXPECT_NEAR(scalar(recorder, "circularity"), 7.0 / 8, 1e-6);
  EXPECT_NEAR(scalar(recorder, "circularity/components_1_2"), 7.0 / 8, 1e-6);
  EXPECT_LT(scalar(recorder, "circularity/random"), 0.8);
  EXPECT_LT(scalar(recorder, "circularity/p_value"), 0.05);
  // In the planes 3 and 4, which the end does not use, there is nothing but noise.
  EXPECT_LT(scalar(compared(now, end, R"({"n_planes": 2})"), "circularity/components_3_4"), 0.8);
}

// By its definition, in noise: one random plane is as good as another.
TEST(FinalStructure, NoiseIsNoCircle) {
  const int64_t n = 31;
  auto end = noise(n, 4), now = noise(n, 5);
  const auto recorder = compared(now, end, R"({"n_planes": 2, "rule": "given", "frequencies": [2, 9, 11]})");
  Tensor W_E = now->model.weight("embed.W_E").to(torch::kFloat64).narrow(0, 0, n);
  Tensor final_W_E = end->model.weight("embed.W_E").to(torch::kFloat64).narrow(0, 0, n);
  W_E = W_E - W_E.mean(0);
  final_W_E = final_W_E - final_W_E.mean(0);
  const auto [values, vectors] = at::linalg_eigh(final_W_E.t().matmul(final_W_E));  // ascending
  double mean = 0;
  for (int64_t plane = 0; plane < 2; ++plane) {
    const Tensor points = W_E.matmul(vectors.narrow(1, vectors.size(1) - 2 - 2 * plane, 2));
    double largest = 0;
    for (int64_t k = 1; k <= n / 2; ++k) {
      double energy = 0;
      for (int64_t column = 0; column < 2; ++column) {
        double cosine = 0, sine = 0;
        for (int64_t x = 0; x < n; ++x) {
          cosine += points[x][column].item<double>() * std::cos(angle(k, x, n));
          sine += points[x][column].item<double>() * std::sin(angle(k, x, n));
        }
        energy += (cosine * cosine + sine * sine) * 2 / double(n);
      }
      largest = std::max(largest, energy);
    }
    mean += largest / points.square().sum().item<double>() / 2;
  }
  EXPECT_NEAR(scalar(recorder, "circularity"), mean, 1e-5);
  EXPECT_NEAR(scalar(recorder, "circularity/random"), mean, 0.15);
  EXPECT_GT(scalar(recorder, "circularity/p_value"), 0.02);
  EXPECT_GT(scalar(recorder, "key_rank/p_value"), 0.02);
  EXPECT_LT(scalar(recorder, "circularity"), 0.5);
}

TEST(FinalStructure, SaysNothingOfKeysWhereThereAreNone) {
  auto end = noise(11, 4), now = noise(11, 5);
  const auto recorder = compared(now, end);
  EXPECT_FALSE(has_scalar(recorder, "key_rank"));
  EXPECT_FALSE(has_scalar(recorder, "same_frequency"));
  EXPECT_TRUE(has_scalar(recorder, "circularity"));
}

TEST(FinalStructure, AsksForTheLastCheckpoint) {
  EXPECT_TRUE(make_probe()->needs().reference);
  EXPECT_THROW(make_probe(R"({"rule": "given"})"), UsageError);
}

}  // namespace
}  // namespace orrery::testing
