// The kernels, each against its plain account, in value and gradients, over many shapes; and the loops of
// every instruction set that this machine runs against sums in double.
#include <gtest/gtest.h>
#include <orrery/transformer.h>

#include <cmath>
#include <numeric>

#include "engine/train/trainer.h"
#include "sdk/kernels/attention.h"
#include "sdk/kernels/cross_entropy.h"
#include "sdk/kernels/folded_attention.h"
#include "sdk/kernels/relu_product.h"
#include "sdk/kernels/simd/dispatch.h"
#include "sdk/kernels/sum_of_rows.h"

namespace orrery {

using namespace engine;
namespace {

using Function = std::function<torch::Tensor(const std::vector<torch::Tensor>&)>;

int64_t draw(int64_t low, int64_t high, torch::Generator& rng) {
  return torch::randint(low, high + 1, {1}, rng, torch::kInt64).item<int64_t>();
}

torch::Tensor indices(int64_t n, std::vector<int64_t> shape, torch::Generator& rng) {
  return torch::randint(n, shape, rng, torch::kInt32);
}

// Relative to the size of b, or to `least` where that is larger.
double distance(const torch::Tensor& a, const torch::Tensor& b, double least = 1e-30) {
  return (a - b).norm().item<double>() / std::max(b.norm().item<double>(), least);
}

// Two functions of the same inputs, and what they leave on them from one random gradient of the result.
void expect_same(const std::vector<torch::Tensor>& inputs, const Function& kernel, const Function& plain,
                 torch::Generator& rng, const std::string& what, double least = 1e-30) {
  const auto run = [&](const Function& f, const torch::Tensor& d_out) {
    std::vector<torch::Tensor> leaves;
    for (const torch::Tensor& x : inputs) leaves.push_back(x.clone().requires_grad_(true));
    const torch::Tensor out = f(leaves);
    out.backward(d_out.defined() ? d_out : torch::ones_like(out));
    std::vector<torch::Tensor> all = {out.detach()};
    for (const torch::Tensor& leaf : leaves) all.push_back(leaf.grad());
    return all;
  };
  torch::Tensor d_out;
  {
    torch::NoGradGuard no_grad;
    const torch::Tensor out = plain(inputs);
    d_out = out.dim() == 0 ? torch::Tensor() : torch::randn(out.sizes(), rng);
  }
  const auto got = run(kernel, d_out), again = run(kernel, d_out), expected = run(plain, d_out);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LT(distance(got[i], expected[i], least), 2e-6)
        << what << (i == 0 ? ": value" : ": gradient ") << i;
    EXPECT_TRUE(got[i].equal(again[i])) << what << ": not the same bits twice, " << i;
  }
}

TEST(Kernels, CrossEntropyIsMeanLoss) {
  torch::Generator rng = make_generator(1);
  for (int trial = 0; trial < 40; ++trial) {
    const int64_t n = draw(1, 40, rng), n_read = draw(1, 3, rng),
                  classes = draw(1, trial < 20 ? 9 : 130, rng);
    Batch batch;
    batch.labels = torch::randint(classes, {n, n_read}, rng, torch::kInt64);
    if (trial % 2) {
      batch.scored = torch::rand({n, n_read}, rng) < 0.5;
      batch.scored[0][0] = true;
    }
    const double scale = trial % 5 == 0 ? 300 : 3;  // 300: probabilities down to e^-1000
    const torch::Tensor logits = scale * torch::randn({n, n_read, classes}, rng);
    const TaskSpec spec{.d_vocab_out = classes};
    ASSERT_TRUE(kernels::cross_entropy_fits(spec, batch, logits, torch::kFloat64));
    const Function kernel = [&](const auto& x) { return kernels::cross_entropy(x[0], batch); };
    const Function plain = [&](const auto& x) { return mean_loss(spec, x[0], batch, torch::kFloat64); };
    expect_same({logits}, kernel, plain, rng, "trial " + std::to_string(trial));
    EXPECT_NEAR(kernel({logits}).item<double>(), plain({logits}).item<double>(),
                1e-13 * (1 + plain({logits}).item<double>()));
  }
}

// What it does not know goes the plain way.
TEST(Kernels, CrossEntropyIsForPlainCrossEntropyOnly) {
  const torch::Tensor logits = torch::zeros({2, 1, 3});
  Batch batch;
  batch.labels = torch::zeros({2, 1}, torch::kInt64);
  const auto fits = [&](const TaskSpec& spec) {
    return kernels::cross_entropy_fits(spec, batch, logits, torch::kFloat64);
  };
  EXPECT_TRUE(fits({}));
  EXPECT_FALSE(fits({.label_smoothing = 0.1}));
  for (const Loss loss : {Loss::hinge, Loss::logistic, Loss::mse_one_hot}) EXPECT_FALSE(fits({.loss = loss}));
  batch.weights = torch::ones({2});
  EXPECT_FALSE(fits({}));
}

TEST(Kernels, CrossEntropyOfASureAnswerIsTiny) {
  Batch batch;
  batch.labels = torch::zeros({1, 1}, torch::kInt64);
  for (const double margin : {1.0, 20.0, 30.0}) {
    const torch::Tensor logits = torch::tensor({static_cast<float>(margin), 0.0f}).view({1, 1, 2});
    EXPECT_NEAR(kernels::cross_entropy(logits, batch).item<double>(), std::log1p(std::exp(-margin)), 3e-16);
  }
}

TEST(Kernels, ReluProductIsItsFormula) {
  torch::Generator rng = make_generator(2);
  for (int trial = 0; trial < 60; ++trial) {
    const int64_t n = draw(1, 120, rng), neurons = draw(1, 90, rng),
                  n_out = draw(1, trial < 20 ? 5 : 280, rng);
    const auto direct = trial % 2 ? kernels::Direct::added : kernels::Direct::none;
    const int64_t used = neurons + (trial % 2 ? n_out : 0);
    const torch::Tensor input = torch::randn({n, kernels::padded_width(used)}, rng);
    const torch::Tensor W = torch::randn({neurons, n_out}, rng);
    const torch::Tensor place =
        trial % 3 ? torch::randperm(n, rng, torch::kInt64).to(torch::kInt32) : torch::Tensor();
    expect_same(
        {input, W}, [&](const auto& x) { return kernels::relu_product(x[0], x[1], direct, place); },
        [&](const auto& x) { return kernels::plain_relu_product(x[0], x[1], direct, place); }, rng,
        "trial " + std::to_string(trial));
  }
}

TEST(Kernels, SumOfRowsIsItsFormula) {
  torch::Generator rng = make_generator(3);
  for (int trial = 0; trial < 30; ++trial) {
    const int64_t rows = draw(1, 50, rng), width = 16 * draw(1, 25, rng), terms = draw(1, 20, rng);
    const torch::Tensor index = indices(rows, {draw(1, 90, rng), terms}, rng);
    expect_same(
        {torch::randn({rows, width}, rng)}, [&](const auto& x) { return kernels::sum_of_rows(x[0], index); },
        [&](const auto& x) { return kernels::plain_sum_of_rows(x[0], index); }, rng,
        "trial " + std::to_string(trial));
  }
}

TEST(Kernels, FoldedAttentionIsItsFormula) {
  torch::Generator rng = make_generator(4);
  for (int trial = 0; trial < 40; ++trial) {
    const int64_t n = draw(1, 60, rng), keys = draw(1, 7, rng), heads = draw(1, 6, rng);
    const int64_t distinct = draw(1, 30, rng), queries = draw(1, 5, rng), width = 16 * draw(1, 20, rng);
    const kernels::FoldedBatch batch = {indices(distinct, {n, keys}, rng), indices(queries, {n}, rng),
                                        draw(1, keys, rng)};
    ASSERT_TRUE(kernels::folded_attention_fits(batch, heads));
    // The exponentials of some patterns are then all below what a double can hold. The gradients of their
    // scores are what is left by rounding numbers of this size.
    const bool extreme = trial % 5 == 0;
    const double scale = extreme ? 1000 : 2;
    expect_same(
        {scale * torch::randn({queries, distinct, heads}, rng), torch::randn({heads, distinct, width}, rng),
         torch::randn({queries, width}, rng)},
        [&](const auto& x) { return kernels::folded_attention(x[0], x[1], x[2], batch); },
        [&](const auto& x) { return kernels::plain_folded_attention(x[0], x[1], x[2], batch); }, rng,
        "trial " + std::to_string(trial), extreme ? 100 : 1e-30);
  }
}

TEST(Kernels, CausalAttentionIsItsFormula) {
  torch::Generator rng = make_generator(5);
  for (int trial = 0; trial < 40; ++trial) {
    const int64_t batch = draw(1, 4, rng), n_ctx = draw(2, 70, rng), heads = draw(1, 4, rng);
    const int64_t d_head = draw(1, 70, rng);
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < n_ctx; ++i)
      if (i == n_ctx / 2 || draw(0, 1, rng)) positions.push_back(i);
    const auto n_read = static_cast<int64_t>(positions.size());
    const auto random = [&](int64_t n) { return torch::randn({batch, n, heads, d_head}, rng); };
    expect_same(
        {random(n_read), random(n_ctx), random(n_ctx)},
        [&](const auto& x) { return kernels::causal_attention(x[0], x[1], x[2], positions); },
        [&](const auto& x) { return kernels::plain_causal_attention(x[0], x[1], x[2], positions); }, rng,
        "trial " + std::to_string(trial));
    positions.resize(draw(1, n_ctx, rng));
    std::iota(positions.begin(), positions.end(), 0);
    const Function plain = [&](const auto& x) {
      const auto part = [&](int64_t i) { return x[0].select(2, i); };
      return kernels::plain_causal_attention(part(0).narrow(1, 0, positions.size()), part(1), part(2),
                                             positions);
    };
    expect_same(
        {torch::randn({batch, n_ctx, 3, heads, d_head}, rng)},
        [&](const auto& x) { return kernels::causal_attention(x[0], positions.size()); }, plain, rng,
        "packed, trial " + std::to_string(trial));
  }
}

// The loops of each instruction set by themselves: the tests above run those of this machine's widest only.
class Loops : public ::testing::TestWithParam<int64_t> {};

TEST_P(Loops, OfEveryInstructionSetAgree) {
  torch::Generator rng = make_generator(6);
  const auto sets = kernels::all_loops();
  ASSERT_FALSE(sets.empty());
  EXPECT_EQ(sets.front(), &kernels::loops());
  const int64_t n = 70, neurons = 45, n_out = GetParam();
  const torch::Tensor x = torch::randn({n, 48}, rng), w = torch::randn({neurons, n_out}, rng);
  const torch::Tensor labels = torch::randint(n_out, {n}, rng, torch::kInt64);
  const torch::Tensor expected = x.narrow(1, 0, neurons).relu().to(torch::kFloat64).mm(w.to(torch::kFloat64));
  for (const kernels::Loops* loops : sets) {
    const torch::Tensor padded = torch::zeros({neurons, loops->padded(n_out)}), y = torch::empty({n, n_out});
    padded.narrow(1, 0, n_out).copy_(w);
    const kernels::ReluProduct product = {
        n, neurons, n_out, x.data_ptr<float>(), 48, padded.data_ptr<float>()};
    loops->relu_product(product, nullptr, 0, nullptr, y.data_ptr<float>());
    EXPECT_LT(distance(y.to(torch::kFloat64), expected), 1e-6) << loops->name;
    const torch::Tensor d_w = torch::empty_like(padded);
    loops->relu_product_weights(product, y.data_ptr<float>(), n_out, d_w.data_ptr<float>());
    EXPECT_LT(distance(d_w.narrow(1, 0, n_out), x.narrow(1, 0, neurons).relu().t().mm(y)), 1e-6)
        << loops->name;
    const double loss =
        loops->cross_entropy(n, n_out, y.data_ptr<float>(), labels.data_ptr<int64_t>(), nullptr, 1, nullptr);
    const torch::Tensor log_probs = torch::log_softmax(y.to(torch::kFloat64), -1);
    EXPECT_NEAR(loss, -log_probs.gather(1, labels.unsqueeze(1)).sum().item<double>(), 1e-11 * loss)
        << loops->name;
  }
}

INSTANTIATE_TEST_SUITE_P(Outputs, Loops, ::testing::Values(2, 7, 37));

// Two trainings of 60 steps: their losses at each.
std::vector<double> losses(const TransformerConfig& config, const TaskSpec& spec, const Split& split,
                           TrainSettings::Kernel kernel) {
  const auto model = make_transformer(config, spec, make_generator(0));
  TrainSettings settings;
  settings.kernel = kernel;
  Trainer trainer(*model, spec, split, settings, 0);
  std::vector<double> all;
  for (int i = 0; i < 60; ++i) all.push_back(trainer.step());
  return all;
}

TEST(Kernels, AWholeTrainingIsThePlainOne) {
  torch::Generator rng = make_generator(8);
  const int64_t p = 23;
  const torch::Tensor row = torch::arange(p * p, torch::kInt64), a = row.div(p, "floor"),
                      b = row.remainder(p);
  const Batch grid{torch::stack({a, b, torch::full_like(a, p)}, 1), (a + b).remainder(p).unsqueeze(1)};
  const torch::Tensor order = torch::randperm(p * p, rng, torch::kInt64);
  const Split modular = Split::of_grid(grid, order.narrow(0, 0, 300), order.narrow(0, 300, p * p - 300));
  const TaskSpec spec{p + 1, p, 3, {2}, {}};
  const TaskSpec sequence{12, 10, 20, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {}};
  const Batch sequences{torch::randint(12, {40, 20}, rng, torch::kInt64),
                        torch::randint(10, {40, 13}, rng, torch::kInt64)};
  Batch some = sequences;
  some.scored = torch::rand({40, 13}, rng) < 0.4;
  const TransformerConfig one_layer{.d_model = 32, .d_head = 8, .d_mlp = 128};
  const TransformerConfig heads_only{.n_layers = 2, .d_model = 32, .d_head = 8, .attn_only = true};
  const std::vector<std::tuple<TransformerConfig, TaskSpec, Split>> trainings = {
      {one_layer, spec, modular},
      {one_layer, sequence, Split{sequences, sequences, {}, {}, {}}},
      {heads_only, sequence, Split{sequences, sequences, {}, {}, {}}},
      {heads_only, sequence, Split{some, some, {}, {}, {}}}};
  for (const auto& [config, task, split] : trainings) {
    const auto fast = losses(config, task, split, TrainSettings::Kernel::automatic),
               again = losses(config, task, split, TrainSettings::Kernel::automatic),
               plain = losses(config, task, split, TrainSettings::Kernel::plain);
    EXPECT_EQ(fast, again);
    EXPECT_LT(plain.back(), 0.95 * plain.front());
    for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(fast[i], plain[i], 1e-3 * plain[i]) << "step " << i;
  }
}

}  // namespace
}  // namespace orrery
