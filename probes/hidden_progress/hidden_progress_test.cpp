#include <gtest/gtest.h>
#include <orrery/mlp.h>
#include <orrery/testing/model_on_batch.h>
#include <orrery/transformer.h>
#include <tests/support/plugin_under_test.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace orrery::testing {
namespace {

using torch::Tensor;
using Positions = std::vector<int64_t>;

TaskSpec parity_spec(int64_t n, int64_t n_logits) {
  return {.d_vocab = 2, .d_vocab_out = n_logits, .n_ctx = n, .read_out = {n - 1}};
}

MlpConfig on_bits(int64_t d_mlp, bool bias = false) {
  return {.input = MlpConfig::Input::bits,
          .d_mlp = d_mlp,
          .bias = bias,
          .bit_values = MlpConfig::BitValues::signs};
}

// A network for the parity of the bits `relevant` of n.
ModelOnBatch parity_network(int64_t n, const Positions& relevant, const MlpConfig& config,
                            int64_t n_logits = 1) {
  Batch batch;
  batch.tokens = torch::zeros({1, n}, torch::kInt64);
  batch.labels = torch::zeros({1, 1}, torch::kInt64);
  const TaskSpec spec = parity_spec(n, n_logits);
  ModelOnBatch network(spec, make_mlp(config, spec, make_generator(1)), batch);
  network.structure.relevant_positions = RelevantPositions{relevant};
  return network;
}

Recorder measured(ModelOnBatch& network, const std::string& parameters = "{}") {
  const torch::NoGradGuard no_grad;
  const auto probe = make_probe(parameters);
  probe->fit(network.observe());
  Recorder recorder;
  probe->measure(network.observe(), recorder);
  return recorder;
}

// The coefficients of the majority of five bits are 3/8 of a single bit, -1/8 of three and 3/8 of all five;
// the derivative of a ReLU is half of it, plus a constant.
TEST(HiddenProgress, AMajorityNeuronHasTheKnownGap) {
  for (const auto& [relevant, gap] : std::vector<std::pair<Positions, double>>{
           {{1, 3}, 3.0 / 16 - 1.0 / 16}, {{0, 1, 2, 4}, 1.0 / 16 - 3.0 / 16}, {{0, 1, 2, 3, 4}, 0}}) {
    auto network = parity_network(5, relevant, on_bits(1));
    const torch::NoGradGuard no_grad;
    network.model->weight("mlp.W_in").fill_(0.3);
    for (const float out : {2.0f, -0.5f}) {
      network.model->weight("mlp.W_out").fill_(out);
      const auto recorder = measured(network);
      EXPECT_NEAR(scalar(recorder, "fourier_gap"), gap, 1e-6) << relevant.size();
      EXPECT_EQ(scalar(recorder, "fourier_gap/positive"), gap > 0) << relevant.size();
      EXPECT_EQ(scalar(recorder, "fourier_gap/error"), 0);
    }
  }
}

// E[y x_i 1[w x + b > 0]] by a loop over all strings, and the gap between them.
std::vector<double> gaps_by_hand(const Model& model, int64_t n, const Positions& relevant) {
  const Tensor W_in = model.weight("mlp.W_in");
  const auto W = W_in.accessor<float, 2>();
  const bool bias = model.find_weight("mlp.b_in") != nullptr;
  std::vector<double> gaps;
  for (int64_t j = 0; j < W_in.size(1); ++j) {
    std::vector<double> c(n, 0);
    for (int64_t string = 0; string < (int64_t{1} << n); ++string) {
      const auto sign = [&](int64_t i) { return (string >> i) & 1 ? 1.0 : -1.0; };
      double pre = bias ? model.weight("mlp.b_in")[j].item<float>() : 0, y = 1;
      for (int64_t i = 0; i < n; ++i) pre += sign(i) * W[i][j];
      for (const int64_t i : relevant) y *= sign(i);
      if (pre > 0)
        for (int64_t i = 0; i < n; ++i) c[i] += y * sign(i) / std::exp2(double(n));
    }
    double least = 1, largest = 0;
    for (int64_t i = 0; i < n; ++i) {
      const bool on = std::find(relevant.begin(), relevant.end(), i) != relevant.end();
      if (on)
        least = std::min(least, std::abs(c[i]));
      else
        largest = std::max(largest, std::abs(c[i]));
    }
    gaps.push_back(least - largest);
  }
  return gaps;
}

TEST(HiddenProgress, TheGapIsThatOfAllStrings) {
  const Positions relevant = {0, 2, 5};
  for (const int64_t n_logits : {1, 2}) {
    auto network = parity_network(7, relevant, on_bits(6, /*bias=*/true), n_logits);
    const torch::NoGradGuard no_grad;
    network.model->weight("mlp.b_in").copy_(0.3 * torch::randn({6}, make_generator(2)));
    const auto by_hand = gaps_by_hand(*network.model, 7, relevant);
    const auto recorder = measured(network);
    double mean = 0, positive = 0, largest = -1;
    for (size_t j = 0; j < by_hand.size(); ++j) {
      EXPECT_NEAR(tensor(recorder, "fourier_gap")[int64_t(j)].item<double>(), by_hand[j], 1e-6) << j;
      mean += by_hand[j] / 6, positive += by_hand[j] > 0, largest = std::max(largest, by_hand[j]);
    }
    EXPECT_NEAR(scalar(recorder, "fourier_gap"), mean, 1e-6);
    EXPECT_NEAR(scalar(recorder, "fourier_gap/positive"), positive / 6, 1e-12);
    EXPECT_NEAR(scalar(recorder, "fourier_gap/largest"), largest, 1e-6);
  }
}

// The same function of bits that are 0 and 1: weights twice as large, and biases that make up for it.
TEST(HiddenProgress, TheValuesOfBitsDoNotMatter) {
  auto signs = parity_network(6, {1, 2}, on_bits(5, /*bias=*/true));
  MlpConfig zero_one = on_bits(5, /*bias=*/true);
  zero_one.bit_values = MlpConfig::BitValues::zero_one;
  auto bits = parity_network(6, {1, 2}, zero_one);
  const torch::NoGradGuard no_grad;
  const Tensor W = signs.model->weight("mlp.W_in");
  bits.model->weight("mlp.W_in").copy_(2 * W);
  bits.model->weight("mlp.b_in").copy_(-W.sum(0));
  bits.model->weight("mlp.W_out").copy_(signs.model->weight("mlp.W_out"));
  EXPECT_TRUE(torch::allclose(tensor(measured(bits), "fourier_gap"), tensor(measured(signs), "fourier_gap"),
                              0, 1e-6));
}

// A sample of 4,096 of the 4,096 strings is none; of 1,000, each coefficient is off by about 1 / sqrt(1000).
TEST(HiddenProgress, ASampleIsCloseToAllStrings) {
  auto network = parity_network(12, {0, 5, 9}, on_bits(8));
  const auto all = measured(network, R"({"samples": 4096})"),
             some = measured(network, R"({"samples": 1000})");
  EXPECT_EQ(scalar(all, "fourier_gap/error"), 0);
  EXPECT_NEAR(scalar(some, "fourier_gap/error"), 1 / std::sqrt(1000.0), 1e-12);
  const Tensor off = (tensor(all, "fourier_gap") - tensor(some, "fourier_gap")).abs();
  EXPECT_LT(off.max().item<double>(), 8 / std::sqrt(1000.0));  // of two coefficients, the extremes of 12
  EXPECT_GT(off.max().item<double>(), 1e-4);
  EXPECT_TRUE(torch::equal(tensor(some, "fourier_gap"),
                           tensor(measured(network, R"({"samples": 1000})"), "fourier_gap")));
}

// Two neurons that have found the bits, one that has found two of the three, random ones.
TEST(HiddenProgress, SeesNeuronsThatHaveFoundTheBits) {
  const Positions relevant = {2, 7, 8};
  auto network = parity_network(10, relevant, on_bits(40));
  const auto before = measured(network);
  EXPECT_EQ(scalar(before, "leading_neurons"), 0);
  EXPECT_NEAR(scalar(before, "relevant_share"), 0.3, 0.1);  // 400 squares: three deviations
  EXPECT_NEAR(scalar(before, "relevant_share/chance"), 0.3, 1e-12);
  // No set of three is special yet: their gaps have the same distribution.
  EXPECT_NEAR(scalar(before, "fourier_gap"), scalar(before, "fourier_gap/other_bits"), 0.02);

  const torch::NoGradGuard no_grad;
  const Tensor W = network.model->weight("mlp.W_in");
  W.mul_(0.1);
  for (const int64_t neuron : {3, 30})
    for (const int64_t bit : relevant) W[bit][neuron] = neuron == 3 ? 2 : -1.5;
  W[2][9] = W[7][9] = 2, W[8][9] = 0;
  const auto after = measured(network);
  EXPECT_EQ(scalar(after, "leading_neurons"), 2);
  double on = 0, all = 0, largest = 0;
  for (int64_t i = 0; i < 10; ++i)
    for (int64_t j = 0; j < 40; ++j) {
      const double w = W[i][j].item<float>();
      const bool is_on = i == 2 || i == 7 || i == 8;
      all += w * w, on += is_on ? w * w : 0;
      if (!is_on) largest = std::max(largest, std::abs(w));
    }
  EXPECT_NEAR(scalar(after, "relevant_share"), on / all, 1e-9);
  EXPECT_EQ(scalar(after, "largest/relevant"), 2);
  EXPECT_NEAR(scalar(after, "largest/irrelevant"), largest, 1e-9);
  EXPECT_EQ(after.record().headlines,
            (std::vector<std::string>{"relevant_share", "leading_neurons", "movement", "fourier_gap"}));
}

TEST(HiddenProgress, MovementIsFromInitialisation) {
  MlpConfig config = on_bits(3);
  config.bias_column = true;
  auto network = parity_network(6, {0, 4}, config);
  const torch::NoGradGuard no_grad;
  const auto probe = make_probe();
  probe->fit(network.observe(0));
  const Tensor W = network.model->weight("mlp.W_in");
  W[4][1] -= 0.75;
  W[3][2] += 0.25;
  W[6][0] += 9;  // the row of biases is no bit
  Recorder recorder;
  probe->measure(network.observe(50), recorder);
  EXPECT_NEAR(scalar(recorder, "movement"), 0.75, 1e-6);
  EXPECT_NEAR(scalar(recorder, "movement/relevant"), 0.75, 1e-6);
  EXPECT_NEAR(scalar(recorder, "movement/irrelevant"), 0.25, 1e-6);
  // Another reference than the start says nothing of it.
  probe->fit(network.observe(50));
  Recorder late;
  probe->measure(network.observe(60), late);
  for (const char* name : {"movement", "movement/relevant", "movement/irrelevant"})
    EXPECT_TRUE(std::isnan(scalar(late, name))) << name;
}

TEST(HiddenProgress, ANeuronThatIsNotReadHasNoGap) {
  auto network = parity_network(6, {0, 4}, on_bits(3));
  const torch::NoGradGuard no_grad;
  const double of_first = tensor(measured(network), "fourier_gap")[0].item<double>();
  network.model->weight("mlp.W_out").narrow(0, 1, 2).zero_();
  const auto recorder = measured(network);
  EXPECT_TRUE(std::isnan(tensor(recorder, "fourier_gap")[1].item<double>()));
  EXPECT_NEAR(scalar(recorder, "fourier_gap"), of_first, 1e-9);
  network.model->weight("mlp.W_out").zero_();
  EXPECT_TRUE(std::isnan(scalar(measured(network), "fourier_gap")));
}

TEST(HiddenProgress, LooksAtOneLayerOnBits) {
  const auto needs = make_probe()->needs();
  EXPECT_EQ(needs.structure, std::vector<Capability>{Capability::relevant_positions});
  EXPECT_TRUE(needs.reference);
  const TaskSpec spec = parity_spec(6, 1);
  const auto refused = [&](const Model& model, const TaskSpec& of) {
    return !needs.refusal(model, of).empty();
  };
  EXPECT_FALSE(refused(*make_mlp(on_bits(4), spec, make_generator(0)), spec));
  MlpConfig deep = on_bits(4);
  deep.n_hidden = 2;
  EXPECT_TRUE(refused(*make_mlp(deep, spec, make_generator(0)), spec));
  EXPECT_TRUE(
      refused(*make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4}, spec, make_generator(0)), spec));
  const TaskSpec classes = parity_spec(6, 3);
  EXPECT_TRUE(refused(*make_mlp(on_bits(4), classes, make_generator(0)), classes));
}

}  // namespace
}  // namespace orrery::testing
