// The constructed parity on every pattern of its bits, and the linear network of appendix A of Pearce et al.
// 2023.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/mlp.h>

#include <cmath>

namespace orrery {
namespace {

using torch::Tensor;
using BitValues = MlpConfig::BitValues;

TaskSpec strings(int64_t n, int64_t n_logits) {
  return {.d_vocab = 2, .d_vocab_out = n_logits, .n_ctx = n, .read_out = {n - 1}};
}

MlpConfig of_bits(int64_t d_mlp, BitValues bit_values = BitValues::zero_one) {
  return {.input = MlpConfig::Input::bits, .d_mlp = d_mlp, .bit_values = bit_values, .bias_column = true};
}

// Every string of n bits.
Tensor all_strings(int64_t n) {
  const Tensor place = torch::arange(n, torch::kInt64);
  return torch::arange(int64_t{1} << n, torch::kInt64).unsqueeze(1).bitwise_right_shift(place).bitwise_and(1);
}

Tensor constructed_logits(const MlpConfig& config, int64_t n, int64_t n_logits) {
  const torch::NoGradGuard no_grad;
  const auto model = make_mlp(config, strings(n, n_logits), make_generator(0));
  set_constructed_parity(*model, strings(n, n_logits));
  return model->forward(all_strings(n)).select(1, n - 1);
}

// 1 where the number of ones among the first k bits is odd, -1 where it is even.
Tensor signed_parity(int64_t k, int64_t n) {
  return (2 * all_strings(n).narrow(1, 0, k).sum(1).remainder(2) - 1).to(torch::kFloat32);
}

TEST(ConstructedParity, IsRightForEveryPattern) {
  for (const BitValues bit_values : {BitValues::zero_one, BitValues::signs})
    for (const int64_t k : {1, 2, 3, 6}) {
      const int64_t n = k == 6 ? 6 : 8;
      const Tensor expected = signed_parity(k, n);
      const Tensor one = constructed_logits(of_bits(k + 1, bit_values), n, 1);
      EXPECT_TRUE(torch::allclose(one.squeeze(1), expected, 0, 1e-5)) << k;
      const Tensor two = constructed_logits(of_bits(k + 1, bit_values), n, 2);
      EXPECT_TRUE(torch::allclose(two.select(1, 1) - two.select(1, 0), expected, 0, 1e-5)) << k;
    }
}

TEST(ConstructedParity, OfThreeBitsHasFourNeurons) {
  const auto model = make_mlp(of_bits(4), strings(30, 1), make_generator(0));
  set_constructed_parity(*model, strings(30, 1));
  const Tensor W_in = model->weight("mlp.W_in"), W_out = model->weight("mlp.W_out");
  EXPECT_EQ(W_in.sizes(), (std::vector<int64_t>{31, 4}));
  EXPECT_EQ(W_in.narrow(0, 3, 27).abs().max().item<double>(), 0);  // the distractors
  EXPECT_GT((W_in.square().sum(0).sqrt() * W_out.squeeze(1).abs()).min().item<double>(), 1);
  EXPECT_TRUE(W_in[30].equal(torch::tensor({1.0f, 0.0f, -1.0f, -2.0f})));
  // Without any one of them it is wrong somewhere.
  const torch::NoGradGuard no_grad;
  const Tensor strings_of_three = torch::cat({all_strings(3), torch::zeros({8, 27}, torch::kInt64)}, 1);
  for (int64_t h = 0; h < 4; ++h) {
    const Tensor kept = W_out.clone();
    model->weight("mlp.W_out")[h].zero_();
    const Tensor logits = model->forward(strings_of_three).select(1, 0).squeeze(1);
    EXPECT_FALSE((logits.sign() == signed_parity(3, 3)).all().item<bool>()) << h;
    model->weight("mlp.W_out").copy_(kept);
  }
}

TEST(ConstructedParity, IsAWayToBegin) {
  MlpConfig config = of_bits(4);
  config.init = MlpConfig::Init::constructed;
  config.bias_column = false;
  config.bias = true;  // b_in in place of the column
  config.init_scale = 2;
  const torch::NoGradGuard no_grad;
  const Tensor logits =
      make_mlp(config, strings(7, 1), make_generator(3))->forward(all_strings(7)).select(1, 6).squeeze(1);
  EXPECT_TRUE(torch::allclose(logits, 4 * signed_parity(3, 7), 0, 1e-4));
}

TEST(ConstructedParity, RefusesModelsItDoesNotFit) {
  const auto refused = [](const MlpConfig& config, const TaskSpec& spec) {
    const auto model = make_mlp(config, spec, make_generator(0));
    EXPECT_THROW(set_constructed_parity(*model, spec), UsageError);
  };
  refused(of_bits(8), strings(6, 1));
  refused(of_bits(1), strings(6, 1));
  refused(of_bits(4), strings(6, 3));
  MlpConfig config = of_bits(4);
  config.bias_column = false;
  refused(config, strings(6, 1));
  config = of_bits(4);
  config.act_fn = MlpConfig::ActFn::gelu;
  refused(config, strings(6, 1));
  config = of_bits(4);
  config.n_hidden = 2;
  refused(config, strings(6, 1));
  refused({.d_embed = 4, .d_mlp = 4}, {.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}});
}

// "We can almost calculate a + b mod 67 using two circular embeddings and a completely linear model": the
// unembedding loops around the circle twice, and the predictions for c and c + p cancel where they are added.
TEST(LinearMlp, AddsWithTwoAnswersForEachNumber) {
  const int64_t p = 67;
  const torch::NoGradGuard no_grad;
  const TaskSpec spec{.d_vocab = p + 1, .d_vocab_out = 2 * p, .n_ctx = 3, .read_out = {2}};
  const auto model = make_mlp({.embedding = MlpConfig::Embedding::input_tied,
                               .d_embed = 2,
                               .d_mlp = 2,
                               .act_fn = MlpConfig::ActFn::identity},
                              spec, make_generator(0));
  const auto circle = [](int64_t n, double turn) {
    const Tensor angle = torch::arange(n, torch::kFloat64) * turn;
    return torch::stack({angle.cos(), angle.sin()}, 1).to(torch::kFloat32);
  };
  model->weight("embed.W_E").zero_().narrow(0, 0, p).copy_(circle(p, 2 * M_PI / double(p)));
  model->weight("mlp.W_in").copy_(torch::eye(2));
  model->weight("mlp.W_out").copy_(torch::eye(2));
  model->weight("unembed.W_U").copy_(circle(2 * p, M_PI / double(p)).t());
  const Tensor numbers = torch::arange(p, torch::kInt64);
  const Tensor a = numbers.unsqueeze(1).expand({p, p}).reshape(-1), b = numbers.repeat({p});
  const Tensor logits =
      model->forward(torch::stack({a, b, torch::full({p * p}, p, torch::kInt64)}, 1)).select(1, 2);
  EXPECT_TRUE((logits.argmax(1).remainder(p) == (a + b).remainder(p)).all().item<bool>());
  const Tensor added = logits.narrow(1, 0, p) + logits.narrow(1, p, p);
  EXPECT_LT(added.abs().max().item<double>(), 1e-5);
}

}  // namespace
}  // namespace orrery
