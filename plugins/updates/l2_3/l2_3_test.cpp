#include <gtest/gtest.h>
#include <orrery/error.h>

#include <cmath>

#include "tests/support/update_by_hand.h"

namespace orrery::testing {
namespace {

using Named = std::vector<std::pair<std::string, torch::Tensor>>;

Named untied(uint64_t seed, const std::string& layer = "") {
  const torch::Generator rng = make_generator(seed);
  return {{layer + "mlp.W_in_a", torch::randn({3, 4}, rng, torch::kFloat64)},
          {layer + "mlp.W_in_b", torch::randn({3, 4}, rng, torch::kFloat64)},
          {layer + "mlp.W_out", torch::randn({4, 5}, rng, torch::kFloat64)}};
}

// lambda sum_i n_i^3, neuron by neuron.
double penalty(const Named& weights, double lambda) {
  double sum = 0;
  for (int64_t i = 0; i < 4; ++i) {
    double squares = 0;
    for (const auto& [name, weight] : weights)
      for (const double entry : numbers(name.ends_with("W_out") ? weight[i] : weight.select(1, i)))
        squares += entry * entry;
    sum += std::pow(squares, 1.5);
  }
  return lambda * sum;
}

// What the update adds to gradients of 1, against differences of the penalty.
void expect_slope(const Named& weights, const std::string& parameters, double lambda) {
  UpdateByHand update(parameters);
  std::vector<torch::Tensor> ones;
  for (const auto& [name, weight] : weights) {
    update.add(name, weight);
    ones.push_back(torch::ones_like(weight));
  }
  const auto out = update.step(ones);
  for (size_t k = 0; k < weights.size(); ++k) {
    const torch::Tensor entries = weights[k].second.view({-1});
    const auto own = numbers(out[k]);
    for (int64_t i = 0; i < entries.numel(); ++i) {
      const double h = 1e-5, at = entries[i].item<double>();
      entries[i] = at + h;
      const double up = penalty(weights, lambda);
      entries[i] = at - h;
      const double down = penalty(weights, lambda);
      entries[i] = at;
      EXPECT_NEAR(own[i] - 1, (up - down) / (2 * h), 1e-8);
    }
  }
}

TEST(L23, AddsTheGradientOfThePenalty) {
  expect_slope(untied(1), R"({"lambda": 0.3})", 0.3);
  expect_slope(untied(2), "{}", 1e-4);
  const Named tied = {{"mlp.W_in", torch::randn({3, 4}, make_generator(3), torch::kFloat64)},
                      {"mlp.W_out", torch::randn({4, 5}, make_generator(4), torch::kFloat64)}};
  expect_slope(tied, R"({"lambda": 0.3})", 0.3);
}

// 3 lambda n w with n = 13.
TEST(L23, IsRightForANeuronByHand) {
  UpdateByHand update(R"({"lambda": 0.1})");
  update.add("mlp.W_in", torch::tensor({3.0, 4.0}, torch::kFloat64).unsqueeze(1));
  update.add("mlp.W_out", torch::tensor({12.0, 0.0}, torch::kFloat64).unsqueeze(0));
  const auto out =
      update.step({torch::zeros({2, 1}, torch::kFloat64), torch::zeros({1, 2}, torch::kFloat64)});
  EXPECT_NEAR(out[0][0][0].item<double>(), 3 * 0.1 * 13 * 3, 1e-12);
  EXPECT_NEAR(out[0][1][0].item<double>(), 3 * 0.1 * 13 * 4, 1e-12);
  EXPECT_NEAR(out[1][0][0].item<double>(), 3 * 0.1 * 13 * 12, 1e-12);
  EXPECT_EQ(out[1][0][1].item<double>(), 0);
}

TEST(L23, KeepsLayersApart) {
  Named both = untied(5, "blocks.0."), second = untied(6, "blocks.1.");
  both.insert(both.end(), second.begin(), second.end());
  UpdateByHand together(R"({"lambda": 0.3})"), alone(R"({"lambda": 0.3})");
  std::vector<torch::Tensor> zeros;
  for (const auto& [name, weight] : both) {
    together.add(name, weight);
    zeros.push_back(torch::zeros_like(weight));
  }
  for (const auto& [name, weight] : second) alone.add(name, weight);
  const auto all = together.step(zeros), own = alone.step({zeros[3], zeros[4], zeros[5]});
  for (size_t k = 0; k < 3; ++k) EXPECT_TRUE(torch::equal(all[k + 3], own[k]));
}

TEST(L23, RefusesWhatIsNoNeuron) {
  const auto update = make_update();
  const torch::Tensor matrix = torch::zeros({2, 2});
  for (const char* name : {"embed.W_E", "mlp.b_in", "mlp.W_hidden", "mlp.W_gate", "blocks.0.attn.W_Q"})
    EXPECT_NE(update->refusal(name, matrix), "") << name;
  for (const char* name : {"mlp.W_in", "mlp.W_in_b", "mlp.W_out", "blocks.1.mlp.W_out"})
    EXPECT_EQ(update->refusal(name, matrix), "") << name;
  UpdateByHand half;
  half.add("mlp.W_in", matrix);
  EXPECT_THROW(half.step({matrix}), UsageError);
}

}  // namespace
}  // namespace orrery::testing
