// The MLP's gradients by hand: the same bits as autograd through the read-out pass, and within 1e-6 of
// autograd in double through the formula.
#include <gtest/gtest.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>
#include <torch/version.h>

#include <cmath>
#include <limits>
#include <map>

#include "engine/train/loss.h"
#include "engine/train/trainer.h"
#include "sdk/kernels/cross_entropy.h"
#include "sdk/model/gradient_pass.h"

namespace orrery::mlp_gradients_test {
namespace {

using Input = MlpConfig::Input;
using Embedding = MlpConfig::Embedding;
using Hidden = MlpConfig::Hidden;
using Collapse = MlpConfig::Collapse;
using BitValues = MlpConfig::BitValues;
using engine::FlatWeights;
using engine::mean_loss;
using engine::Trainer;
using engine::TrainSettings;

struct Case {
  std::string name;
  MlpConfig config;
  TaskSpec spec;
  int64_t n_examples;
  bool some_scored = false;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

TaskSpec strings(int64_t n_bits, int64_t n_out) {
  return {.d_vocab = 2,
          .d_vocab_out = n_out,
          .n_ctx = n_bits,
          .read_out = {n_bits - 1},
          .loss = n_out == 1 ? Loss::hinge : Loss::cross_entropy};
}
TaskSpec sums(int64_t p) { return {.d_vocab = p + 1, .d_vocab_out = p, .n_ctx = 3, .read_out = {2}}; }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int64_t width : {3, 16, 40, 64, 130, 258})
    for (const int64_t n_out : {1, 2})
      all.push_back({"bits_" + std::to_string(width) + "_" + std::to_string(n_out),
                     {.input = Input::bits, .d_mlp = width, .bias_column = true},
                     strings(30, n_out),
                     n_out == 1 ? 750 : 1001});
  const auto bits = [&](const char* name, MlpConfig config, int64_t n_bits, int64_t n_out, int64_t n) {
    config.input = Input::bits;
    all.push_back({name, config, strings(n_bits, n_out), n});
  };
  bits("signs", {.d_mlp = 24, .bit_values = BitValues::signs, .bias_column = true}, 13, 2, 300);
  bits("signs_and_biases", {.d_mlp = 33, .bias = true, .bit_values = BitValues::signs}, 40, 1, 400);
  bits("odd_width", {.d_mlp = 33, .bias = true}, 40, 2, 400);
  bits("biases", {.d_mlp = 48, .bias = true}, 12, 2, 333);
  bits("five_classes", {.d_mlp = 20, .bias = true}, 12, 5, 333);
  const auto operands = [&](const char* name, MlpConfig config, int64_t p = 11) {
    config.d_embed = 30;
    all.push_back({name, config, sums(p), 200});
  };
  operands("tied", {.d_mlp = 24});
  operands("input_tied", {.embedding = Embedding::input_tied, .d_mlp = 40});
  operands("input_tied_hidden_untied",
           {.embedding = Embedding::input_tied, .hidden = Hidden::untied, .d_mlp = 40});
  operands("untied", {.embedding = Embedding::untied, .d_mlp = 17});
  operands("untied_twice", {.embedding = Embedding::untied, .hidden = Hidden::untied, .d_mlp = 17});
  operands("collapsed",
           {.embedding = Embedding::input_tied, .collapse = Collapse::both, .d_mlp = 20, .bias = true});
  operands("collapse_input",
           {.embedding = Embedding::untied, .collapse = Collapse::input, .d_mlp = 20, .bias = false});
  operands("collapse_output",
           {.embedding = Embedding::input_tied, .collapse = Collapse::output, .d_mlp = 20, .bias = true});
  operands("one_hot_sum", {.input = Input::one_hot_sum, .d_mlp = 20, .bias = true});
  operands("three_classes", {.embedding = Embedding::input_tied, .d_mlp = 24}, 3);
  all.push_back({"some_scored",
                 {.input = Input::bits, .d_mlp = 64, .bias_column = true},
                 strings(20, 2),
                 500,
                 /*some_scored=*/true});
  return all;
}

Batch batch_of(const Case& c, uint64_t seed) {
  torch::Generator rng = make_generator(seed);
  const int64_t n_tokens = c.spec.d_vocab == 2 ? 2 : c.spec.d_vocab_out;
  Batch batch;
  batch.tokens = torch::randint(n_tokens, {c.n_examples, c.spec.n_ctx}, rng, torch::kInt64);
  const int64_t n_labels = c.spec.loss == Loss::hinge ? 2 : c.spec.d_vocab_out;
  batch.labels = torch::randint(n_labels, {c.n_examples, 1}, rng, torch::kInt64);
  if (c.some_scored) batch.scored = torch::rand({c.n_examples, 1}, rng) < 0.7;
  return batch;
}

torch::Tensor loss_by_autograd(Model& model, const Case& c, const Batch& batch) {
  const torch::Tensor logits = read_out(model, {batch.tokens, c.spec.read_out, batch.scored})->logits();
  return kernels::cross_entropy_fits(c.spec, batch, logits, torch::kFloat64)
             ? kernels::cross_entropy(logits, batch)
             : mean_loss(c.spec, logits, batch, torch::kFloat64);
}

// The formula of orrery/mlp.h, in double, over weights w by name.
torch::Tensor logits_in_double(const Case& c, const std::map<std::string, torch::Tensor>& w,
                               const torch::Tensor& tokens) {
  const auto one_hot = [&](int64_t position, int64_t n) {
    return torch::eye(n, torch::kFloat64).index_select(0, tokens.select(1, position));
  };
  const auto named = [&](const std::string& name, const std::string& side) {
    return w.count(name) ? w.at(name) : w.at(name + side);
  };
  torch::Tensor pre;
  if (c.config.input == Input::bits) {
    torch::Tensor x = tokens.to(torch::kFloat64);
    if (c.config.bit_values == BitValues::signs) x = 2 * x - 1;
    if (c.config.bias_column) x = torch::cat({x, torch::ones({x.size(0), 1}, torch::kFloat64)}, 1);
    pre = x.mm(w.at("mlp.W_in"));
  } else {
    for (const int64_t operand : {0, 1}) {
      torch::Tensor x = one_hot(operand, c.spec.d_vocab);
      const std::string side = operand ? "_b" : "_a";
      if (w.count("embed.W_E") || w.count("embed.W_E_a")) x = x.mm(named("embed.W_E", side));
      const torch::Tensor term = x.mm(named("mlp.W_in", side));
      pre = operand ? pre + term : term;
    }
  }
  if (w.count("mlp.b_in")) pre = pre + w.at("mlp.b_in");
  torch::Tensor out = pre.relu().mm(w.at("mlp.W_out"));
  if (w.count("mlp.b_out")) out = out + w.at("mlp.b_out");
  if (w.count("unembed.W_U")) return out.mm(w.at("unembed.W_U"));
  const bool tied = w.count("embed.W_E") && out.size(1) != c.spec.d_vocab_out;
  return tied ? out.mm(w.at("embed.W_E").narrow(0, 0, c.spec.d_vocab_out).t()) : out;
}

class MlpGradients : public ::testing::TestWithParam<Case> {
 protected:
  const Case& c = GetParam();
  std::unique_ptr<Model> model = make_mlp(c.config, c.spec, make_generator(1));
  const Batch batch = batch_of(c, 2);
};

// Later versions of LibTorch than 1.13 sum the gradients of a single output in another order. Each way is
// within 1e-6 of the formula (AreThoseOfTheFormulaInDouble), so they are within 2e-6 of each other.
constexpr bool same_order = TORCH_VERSION_MAJOR < 2;

bool same(const torch::Tensor& a, const torch::Tensor& b) {
  if (same_order) return a.equal(b);
  return (a - b).abs().max().item<float>() <= 2e-6 * b.abs().max().item<float>();
}

TEST_P(MlpGradients, AreThoseOfAutogradBitForBit) {
  const auto other = make_mlp(c.config, c.spec, make_generator(1));
  FlatWeights ours(*model), theirs(*other);
  const auto pass = gradient_pass(*model, c.spec, batch);
  ASSERT_TRUE(pass);
  for (int step = 0; step < 3; ++step) {
    const double loss = pass->loss_and_gradients();
    theirs.zero_gradients();
    const torch::Tensor expected = loss_by_autograd(*other, c, batch);
    expected.backward();
    EXPECT_NEAR(loss, expected.item<double>(), (same_order ? 1e-13 : 1e-7) * std::abs(loss));
    for (size_t i = 0; i < model->weights().size(); ++i) {
      const torch::Tensor a = model->weights()[i].value.grad(), b = other->weights()[i].value.grad();
      EXPECT_TRUE(same(a, b)) << model->weights()[i].name << " in step " << step << ", by "
                              << (a - b).abs().max().item<float>() << " of " << b.abs().max().item<float>();
    }
    torch::NoGradGuard no_grad;
    ours.values().add_(ours.gradients(), -0.5);
    theirs.values().add_(theirs.gradients(), -0.5);
    if (!same_order) theirs.values().copy_(ours.values());  // what differs so far is not this step's
  }
}

TEST_P(MlpGradients, LogitsAreTheSameWithoutThem) {
  const auto pass = read_out(*model, {batch.tokens, c.spec.read_out});
  const torch::Tensor expected = pass->logits();
  torch::NoGradGuard no_grad;
  EXPECT_TRUE(pass->logits().equal(expected));
  model->weights()[0].value.mul_(1.5);  // the pass takes the weights as they are
  EXPECT_FALSE(pass->logits().equal(expected));
}

TEST_P(MlpGradients, AreThoseOfTheFormulaInDouble) {
  FlatWeights ours(*model);
  std::map<std::string, torch::Tensor> weights;
  for (const NamedWeight& weight : model->weights())
    weights[weight.name] = weight.value.detach().to(torch::kFloat64).requires_grad_(true);
  const torch::Tensor expected =
      mean_loss(c.spec, logits_in_double(c, weights, batch.tokens).unsqueeze(1), batch, torch::kFloat64);
  expected.backward();
  EXPECT_NEAR(gradient_pass(*model, c.spec, batch)->loss_and_gradients(), expected.item<double>(),
              1e-6 * expected.item<double>());
  for (const NamedWeight& weight : model->weights()) {
    const torch::Tensor right = weights.at(weight.name).grad();
    EXPECT_LT((weight.value.grad() - right).norm().item<double>(), 1e-6 * right.norm().item<double>())
        << weight.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, MlpGradients, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

TEST(GradientPass, IsRefusedWhereAutogradIsNeeded) {
  const Batch few = batch_of({"", {}, strings(30, 2), 100}, 1);  // a table of patterns would not pay
  const MlpConfig bits{.input = Input::bits, .d_mlp = 8};
  const auto pass = [](const MlpConfig& config, const TaskSpec& spec, const Batch& batch) {
    const auto model = make_mlp(config, spec, make_generator(0));
    return gradient_pass(*model, spec, batch) != nullptr;
  };
  const Batch many = batch_of({"", {}, strings(12, 2), 100}, 1);
  EXPECT_FALSE(pass(bits, strings(30, 2), few));
  EXPECT_TRUE(pass(bits, strings(12, 2), many));
  Batch weighted = many;
  weighted.weights = torch::ones({weighted.size()});
  EXPECT_FALSE(pass(bits, strings(12, 2), weighted));
  TaskSpec other_loss = strings(12, 2);
  other_loss.label_smoothing = 0.1;
  EXPECT_FALSE(pass(bits, other_loss, many));
  other_loss = strings(12, 1);
  other_loss.loss = Loss::logistic;
  EXPECT_FALSE(pass(bits, other_loss, many));
  MlpConfig other = bits;
  other.n_hidden = 2;
  EXPECT_FALSE(pass(other, strings(12, 2), many));
  other = bits;
  for (const auto act_fn : {MlpConfig::ActFn::square, MlpConfig::ActFn::gelu, MlpConfig::ActFn::identity}) {
    other.act_fn = act_fn;
    EXPECT_FALSE(pass(other, strings(12, 2), many)) << name_of(act_fn);
  }
  const auto transformer =
      make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 8}, sums(5), make_generator(0));
  EXPECT_FALSE(gradient_pass(*transformer, sums(5), batch_of({"", {}, sums(5), 30}, 1)));
}

TEST(GradientPass, TrainsAsThePlainKernelDoes) {
  for (const Case& c : cases()) {
    if (c.name != "bits_64_2" && c.name != "bits_16_1" && c.name != "tied") continue;
    std::vector<double> ended;
    for (const auto kernel : {TrainSettings::Kernel::automatic, TrainSettings::Kernel::plain}) {
      const auto model = make_mlp(c.config, c.spec, make_generator(1));
      TrainSettings settings;
      settings.kernel = kernel;
      settings.lr = 3e-3;
      const Batch batch = batch_of(c, 2);
      Trainer trainer(*model, c.spec, Split{batch, batch, {}, {}, {}}, settings, 0);
      for (int step = 0; step < 100; ++step) trainer.step();
      ended.push_back(trainer.evaluate()[0].second);
    }
    EXPECT_NEAR(ended[0], ended[1], 1e-3 * ended[1]) << c.name;
  }
}

TEST(GradientPass, ALossThatIsNotFiniteIsSaid) {
  const Case c{"", {.input = Input::bits, .d_mlp = 24}, strings(12, 2), 100};
  const auto model = make_mlp(c.config, c.spec, make_generator(1));
  FlatWeights flat(*model);
  flat.values()[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(gradient_pass(*model, c.spec, batch_of(c, 2))->loss_and_gradients()));
  flat.values().fill_(1e30);
  EXPECT_FALSE(std::isfinite(gradient_pass(*model, c.spec, batch_of(c, 2))->loss_and_gradients()));
}

}  // namespace
}  // namespace orrery::mlp_gradients_test
