// The forward pass of the mlp against its formula written out in loops, and the read-out pass against the
// plain one.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/mlp.h>
#include <sdk/model/catalog.h>

#include <cmath>

namespace orrery::mlp_test {
namespace {

using Input = MlpConfig::Input;
using Embedding = MlpConfig::Embedding;
using Hidden = MlpConfig::Hidden;
using Collapse = MlpConfig::Collapse;
using ActFn = MlpConfig::ActFn;
using BitValues = MlpConfig::BitValues;
using Init = MlpConfig::Init;

using Vector = std::vector<double>;
using Names = std::vector<std::string>;

bool has(const Model& model, const std::string& name) {
  for (const NamedWeight& w : model.weights())
    if (w.name == name) return true;
  return false;
}

double entry(const torch::Tensor& t, int64_t i, int64_t j) { return t[i][j].item<double>(); }

// x W + b for one row vector x, b being zero where the model has no such weight.
Vector layer(const Model& model, const Vector& x, const std::string& W_name, const std::string& b_name) {
  const torch::Tensor W = model.weight(W_name).detach();
  Vector y(W.size(1), 0.0);
  for (size_t j = 0; j < y.size(); ++j) {
    for (size_t i = 0; i < x.size(); ++i) y[j] += x[i] * entry(W, int64_t(i), int64_t(j));
    if (has(model, b_name)) y[j] += model.weight(b_name)[int64_t(j)].item<double>();
  }
  return y;
}

Vector row(const torch::Tensor& W, int64_t i) {
  Vector v(W.size(1));
  for (size_t j = 0; j < v.size(); ++j) v[j] = entry(W, i, int64_t(j));
  return v;
}

// What operand 0 or 1 adds to the hidden layer, without a bias.
Vector operand_term(const Model& model, const MlpConfig& c, int64_t p, int64_t which, int64_t token) {
  const std::string side = which == 0 ? "_a" : "_b";
  const std::string W_in = has(model, "mlp.W_in") ? "mlp.W_in" : "mlp.W_in" + side;
  if (c.collapse == Collapse::input || c.collapse == Collapse::both)
    return row(model.weight(W_in).detach(), token);
  Vector embedded;
  if (c.embedding == Embedding::circular) {
    const double angle = 2 * M_PI * double(token) / double(p);
    embedded = {c.circle_radius * std::cos(angle), c.circle_radius * std::sin(angle)};
  } else {
    embedded = row(model.weight(c.embedding == Embedding::untied ? "embed.W_E" + side : "embed.W_E").detach(),
                   token);
  }
  return layer(model, embedded, W_in, "");
}

Vector hidden_input(const Model& model, const MlpConfig& c, const TaskSpec& spec,
                    const std::vector<int64_t>& tokens) {
  if (c.input == Input::bits) {
    Vector x;
    for (const int64_t token : tokens)
      x.push_back(c.bit_values == BitValues::zero_one ? double(token) : token ? 1 : -1);
    if (c.bias_column) x.push_back(1);
    return layer(model, x, "mlp.W_in", "mlp.b_in");
  }
  if (c.input == Input::one_hot_sum) {
    Vector x(spec.d_vocab, 0.0);
    x[tokens[0]] += 1;
    x[tokens[1]] += 1;
    return layer(model, x, "mlp.W_in", "mlp.b_in");
  }
  Vector pre = operand_term(model, c, spec.d_vocab_out, 0, tokens[0]);
  const Vector b = operand_term(model, c, spec.d_vocab_out, 1, tokens[1]);
  for (size_t i = 0; i < pre.size(); ++i) {
    pre[i] += b[i];
    if (c.bias) pre[i] += model.weight("mlp.b_in")[int64_t(i)].item<double>();
  }
  return pre;
}

double activated(double x, ActFn act_fn) {
  switch (act_fn) {
    case ActFn::relu:
      return x > 0 ? x : 0;
    case ActFn::square:
      return x * x;
    case ActFn::gelu:
      return x * (1 + std::erf(x / std::sqrt(2.0))) / 2;
    case ActFn::identity:
      return x;
  }
  throw Error("no such activation function");
}
Vector activated(Vector x, const MlpConfig& c) {
  for (double& v : x) v = activated(v, c.act_fn);
  return x;
}

Vector by_hand(const Model& model, const MlpConfig& c, const TaskSpec& spec,
               const std::vector<int64_t>& tokens) {
  Vector post = activated(hidden_input(model, c, spec, tokens), c);
  if (c.n_hidden == 2) post = activated(layer(model, post, "mlp.W_hidden", "mlp.b_hidden"), c);
  const Vector out = layer(model, post, "mlp.W_out", "mlp.b_out");
  if (c.input != Input::embedding || c.collapse == Collapse::output || c.collapse == Collapse::both)
    return out;
  if (has(model, "unembed.W_U")) return layer(model, out, "unembed.W_U", "");
  Vector logits(spec.d_vocab_out, 0.0);
  for (int64_t k = 0; k < spec.d_vocab_out; ++k) {
    const double angle = 2 * M_PI * double(k) / double(spec.d_vocab_out);
    const Vector unembed = c.embedding == Embedding::circular
                               ? Vector{c.circle_radius * std::cos(angle), c.circle_radius * std::sin(angle)}
                               : row(model.weight("embed.W_E").detach(), k);
    for (size_t i = 0; i < out.size(); ++i) logits[k] += out[i] * unembed[i];
  }
  return logits;
}

struct Case {
  std::string name;
  MlpConfig config;
  TaskSpec spec;
  int64_t batch;
  Names weights;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// Operands 0..6, "=" is 7. A batch of 3 is smaller than the vocabulary, one of 40 larger.
const TaskSpec sum{.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}};
const TaskSpec parity{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 6, .read_out = {5}};
const TaskSpec one_logit{.d_vocab = 2, .d_vocab_out = 1, .n_ctx = 6, .read_out = {5}, .loss = Loss::hinge};
const TaskSpec anywhere{.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {0, 2}};

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](std::string name, MlpConfig config, const TaskSpec& spec, Names weights) {
    config.d_mlp = 5;
    if (config.embedding == Embedding::circular)
      config.d_embed = 2;
    else if (config.d_embed == 500)
      config.d_embed = 9;
    for (const int64_t batch : {3, 40})
      all.push_back({name + "_" + std::to_string(batch), config, spec, batch, weights});
  };
  const Names joint{"mlp.W_in", "mlp.W_out"};
  add("tied", {}, sum, {"embed.W_E", "mlp.W_in", "mlp.W_out"});
  add("tied_wide", {.d_embed = 50}, sum, {"embed.W_E", "mlp.W_in", "mlp.W_out"});
  add("input_tied", {.embedding = Embedding::input_tied}, sum,
      {"embed.W_E", "mlp.W_in", "mlp.W_out", "unembed.W_U"});
  add("untied", {.embedding = Embedding::untied}, sum,
      {"embed.W_E_a", "embed.W_E_b", "mlp.W_in", "mlp.W_out", "unembed.W_U"});
  add("untied_twice", {.embedding = Embedding::untied, .hidden = Hidden::untied, .act_fn = ActFn::square},
      sum, {"embed.W_E_a", "embed.W_E_b", "mlp.W_in_a", "mlp.W_in_b", "mlp.W_out", "unembed.W_U"});
  add("hidden_untied", {.hidden = Hidden::untied}, sum,
      {"embed.W_E", "mlp.W_in_a", "mlp.W_in_b", "mlp.W_out"});
  add("circular", {.embedding = Embedding::circular}, sum, joint);
  add("circular_radius", {.embedding = Embedding::circular, .act_fn = ActFn::square, .circle_radius = 0.6},
      sum, joint);
  add("circular_hidden_untied", {.embedding = Embedding::circular, .hidden = Hidden::untied}, sum,
      {"mlp.W_in_a", "mlp.W_in_b", "mlp.W_out"});
  add("circular_output", {.embedding = Embedding::circular, .collapse = Collapse::output}, sum, joint);
  add("collapse_input", {.embedding = Embedding::input_tied, .collapse = Collapse::input}, sum,
      {"mlp.W_in", "mlp.W_out", "unembed.W_U"});
  add("collapse_input_untied", {.embedding = Embedding::untied, .collapse = Collapse::input}, sum,
      {"mlp.W_in_a", "mlp.W_in_b", "mlp.W_out", "unembed.W_U"});
  add("collapse_output", {.embedding = Embedding::input_tied, .collapse = Collapse::output}, sum,
      {"embed.W_E", "mlp.W_in", "mlp.W_out"});
  add("gromov", {.embedding = Embedding::untied, .collapse = Collapse::both, .act_fn = ActFn::square}, sum,
      {"mlp.W_in_a", "mlp.W_in_b", "mlp.W_out"});
  add("gelu_one_hot_sum", {.input = Input::one_hot_sum, .act_fn = ActFn::gelu}, sum, joint);
  add("gelu_two_hidden", {.n_hidden = 2, .act_fn = ActFn::gelu, .bias = true}, sum,
      {"embed.W_E", "mlp.W_in", "mlp.b_in", "mlp.W_hidden", "mlp.b_hidden", "mlp.W_out", "mlp.b_out"});
  add("gelu_bits", {.input = Input::bits, .act_fn = ActFn::gelu}, one_logit, joint);
  add("identity", {.embedding = Embedding::circular, .act_fn = ActFn::identity}, sum, joint);
  add("bias", {.embedding = Embedding::untied, .bias = true}, sum,
      {"embed.W_E_a", "embed.W_E_b", "mlp.W_in", "mlp.b_in", "mlp.W_out", "mlp.b_out", "unembed.W_U"});
  add("bias_wide_two_hidden", {.d_embed = 50, .n_hidden = 2, .bias = true}, sum,
      {"embed.W_E", "mlp.W_in", "mlp.b_in", "mlp.W_hidden", "mlp.b_hidden", "mlp.W_out", "mlp.b_out"});
  add("two_positions", {}, anywhere, {"embed.W_E", "mlp.W_in", "mlp.W_out"});
  add("bits", {.input = Input::bits}, parity, joint);
  add("bits_signs_column", {.input = Input::bits, .bit_values = BitValues::signs, .bias_column = true},
      parity, joint);
  add("bits_one_logit", {.input = Input::bits, .bias = true}, one_logit,
      {"mlp.W_in", "mlp.b_in", "mlp.W_out", "mlp.b_out"});
  add("one_hot", {.input = Input::one_hot_sum}, sum, joint);
  add("one_hot_two_hidden", {.input = Input::one_hot_sum, .n_hidden = 2, .bias = true}, sum,
      {"mlp.W_in", "mlp.b_in", "mlp.W_hidden", "mlp.b_hidden", "mlp.W_out", "mlp.b_out"});
  return all;
}

class MlpTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    torch::Generator rng = make_generator(7);
    model = make_mlp(c.config, c.spec, rng);
    for (NamedWeight& w : model->weights())  // biases too, so that a forgotten one is noticed
      w.value.data().normal_(0, 0.7, rng);
    tokens = torch::randint(c.spec.d_vocab, {c.batch, c.spec.n_ctx}, rng, torch::kInt64);
    if (c.config.input != Input::bits) {
      tokens.narrow(1, 0, 2).random_(0, c.spec.d_vocab_out, rng);
      tokens[0][1].copy_(tokens[0][0]);  // a = b
    }
    labels = torch::randint(std::max<int64_t>(c.spec.d_vocab_out, 2),
                            {c.batch, int64_t(c.spec.read_out.size())}, rng, torch::kInt64);
  }

  torch::Tensor loss(const torch::Tensor& logits) const {
    const torch::Tensor z = logits.to(torch::kFloat64);
    if (GetParam().spec.loss == Loss::hinge) return (1 - (2 * labels - 1) * z.squeeze(-1)).relu().mean();
    return -torch::log_softmax(z, -1).gather(-1, labels.unsqueeze(-1)).mean();
  }

  std::pair<double, std::vector<torch::Tensor>> loss_and_gradients(const torch::Tensor& logits) {
    for (NamedWeight& w : model->weights()) w.value.mutable_grad() = torch::Tensor();
    const torch::Tensor value = loss(logits);
    value.backward();
    std::vector<torch::Tensor> gradients;
    for (NamedWeight& w : model->weights()) gradients.push_back(w.value.grad().clone());
    return {value.item<double>(), gradients};
  }

  torch::Tensor plain() {
    return model->forward(tokens).index_select(1, torch::tensor(GetParam().spec.read_out));
  }

  std::unique_ptr<Model> model;
  torch::Tensor tokens, labels;
};

TEST_P(MlpTest, HasTheWeightsOfItsArchitecture) {
  Names names;
  for (const NamedWeight& w : model->weights()) names.push_back(w.name);
  EXPECT_EQ(names, GetParam().weights);
}

TEST_P(MlpTest, PlainForwardIsTheFormulaAtEveryPosition) {
  const auto& [name, config, spec, batch, weights] = GetParam();
  const torch::Tensor logits = model->forward(tokens);
  ASSERT_EQ(logits.sizes(), (std::vector<int64_t>{batch, spec.n_ctx, spec.d_vocab_out}));
  for (int64_t example = 0; example < 3; ++example) {
    std::vector<int64_t> input;
    for (int64_t i = 0; i < spec.n_ctx; ++i) input.push_back(tokens[example][i].item<int64_t>());
    const Vector expected = by_hand(*model, config, spec, input);
    for (int64_t position = 0; position < spec.n_ctx; ++position)
      for (int64_t k = 0; k < spec.d_vocab_out; ++k)
        EXPECT_NEAR(logits[example][position][k].item<double>(), expected[k],
                    1e-5 * (1 + std::abs(expected[k])));
  }
}

TEST_P(MlpTest, ReadOutEqualsPlainInLossAndGradients) {
  const auto pass = read_out(*model, {tokens, GetParam().spec.read_out});
  const auto [value, gradients] = loss_and_gradients(pass->logits());
  const auto [plain_value, plain_gradients] = loss_and_gradients(plain());
  EXPECT_NEAR(value, plain_value, 1e-5 * plain_value);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const double scale = plain_gradients[i].norm().item<double>();
    EXPECT_GT(scale, 0) << model->weights()[i].name;
    EXPECT_LT((gradients[i] - plain_gradients[i]).norm().item<double>(), 1e-5 * scale)
        << model->weights()[i].name;
  }
}

TEST_P(MlpTest, ReadOutFollowsTheWeights) {
  const auto pass = read_out(*model, {tokens, GetParam().spec.read_out});
  pass->logits();
  for (NamedWeight& w : model->weights()) w.value.data().mul_(1.25);
  EXPECT_TRUE(torch::allclose(pass->logits(), plain(), 1e-4, 1e-5));
}

TEST_P(MlpTest, HookPointsBelongToTheWholeInput) {
  const auto [logits, cache] = run_with_cache(*model, tokens);
  EXPECT_TRUE(logits.equal(model->forward(tokens)));
  EXPECT_EQ(cache.names().size(), model->hook_points().size());
  for (const auto& point : model->hook_points()) {
    EXPECT_EQ(point->position_dim(), -1) << point->name();
    EXPECT_EQ(cache[point->name()].size(0), GetParam().batch) << point->name();
  }
  const MlpConfig& c = GetParam().config;
  const auto& post = cache["mlp.hook_post"];
  EXPECT_EQ(post.sizes(), (std::vector<int64_t>{GetParam().batch, c.d_mlp}));
  const auto& pre = cache["mlp.hook_pre"];
  for (int64_t i = 0; i < pre.numel(); ++i) {
    const double expected = activated(pre.flatten()[i].item<double>(), c.act_fn);
    EXPECT_NEAR(post.flatten()[i].item<double>(), expected, 1e-6 * std::max(1.0, std::abs(expected)));
  }
  EXPECT_EQ(cache.contains("mlp.hook_post_2"), c.n_hidden == 2);
}

INSTANTIATE_TEST_SUITE_P(Architectures, MlpTest, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

TEST(Mlp, HooksEditTheActivation) {
  const auto model = make_mlp({.d_embed = 6, .d_mlp = 4}, sum, make_generator(1));
  const auto tokens = torch::tensor({0, 1, 7, 3, 2, 7}, torch::kInt64).view({2, 3});
  const auto cached = run_with_cache(*model, tokens).cache;
  EXPECT_EQ(cached["hook_embed"].sizes(), (std::vector<int64_t>{2, 2, 6}));
  EXPECT_TRUE(cached["hook_embed"][1][0].equal(model->weight("embed.W_E")[3]));
  EXPECT_EQ(cached["hook_mlp_out"].sizes(), (std::vector<int64_t>{2, 6}));
  const auto ones = [](const torch::Tensor& x) { return torch::ones_like(x); };
  const auto expected =
      model->weight("mlp.W_out").sum(0).matmul(model->weight("embed.W_E").narrow(0, 0, 7).t());
  const auto logits = run_with_hooks(*model, tokens, {{"mlp.hook_post", ones}});
  EXPECT_TRUE(torch::allclose(logits, expected.expand({2, 3, 7}), 1e-5, 1e-6));
}

TEST(Mlp, InputsOfBitsAndOneHotSumsCanBeSeen) {
  const auto tokens = torch::tensor({1, 0, 1, 1, 0, 0}, torch::kInt64).view({1, 6});
  const auto bits = make_mlp({.input = Input::bits, .bit_values = BitValues::signs, .bias_column = true},
                             parity, make_generator(1));
  EXPECT_TRUE(run_with_cache(*bits, tokens)
                  .cache["hook_input"]
                  .equal(torch::tensor({1.f, -1.f, 1.f, 1.f, -1.f, -1.f, 1.f}).view({1, 7})));
  const auto one_hot = make_mlp({.input = Input::one_hot_sum}, sum, make_generator(1));
  const auto seen = run_with_cache(*one_hot, torch::tensor({2, 2, 7, 0, 3, 7}, torch::kInt64).view({2, 3}));
  EXPECT_TRUE(seen.cache["hook_input"].equal(
      torch::tensor({0.f, 0.f, 2.f, 0.f, 0.f, 0.f, 0.f, 0.f, 1.f, 0.f, 0.f, 1.f, 0.f, 0.f, 0.f, 0.f})
          .view({2, 8})));
}

TEST(Mlp, SameSeedSameBits) {
  for (const auto init : {Init::normal, Init::haiku}) {
    const MlpConfig config{.embedding = Embedding::untied, .hidden = Hidden::untied, .init = init};
    const auto a = make_mlp(config, sum, make_generator(3)), b = make_mlp(config, sum, make_generator(3)),
               other = make_mlp(config, sum, make_generator(4));
    for (size_t i = 0; i < a->weights().size(); ++i) {
      EXPECT_TRUE(a->weights()[i].value.equal(b->weights()[i].value));
      EXPECT_FALSE(a->weights()[i].value.equal(other->weights()[i].value));
    }
    EXPECT_FALSE(a->weight("embed.W_E_a").equal(a->weight("embed.W_E_b")));
  }
}

double deviation(const Model& model, const std::string& name) {
  return model.weight(name).std().item<double>();
}

TEST(Mlp, InitialWeightsAreDocumented) {
  const TaskSpec spec{.d_vocab = 100, .d_vocab_out = 100, .n_ctx = 2, .read_out = {1}};
  MlpConfig config{.embedding = Embedding::input_tied, .d_embed = 400, .d_mlp = 50, .bias = true};
  const auto normal = make_mlp(config, spec, make_generator(0));
  EXPECT_NEAR(deviation(*normal, "embed.W_E"), 1 / std::sqrt(100.0), 1e-3);
  EXPECT_NEAR(deviation(*normal, "mlp.W_in"), 1 / std::sqrt(400.0), 1e-3);
  EXPECT_NEAR(deviation(*normal, "mlp.W_out"), 1 / std::sqrt(50.0), 2e-3);
  EXPECT_NEAR(deviation(*normal, "unembed.W_U"), 1 / std::sqrt(400.0), 1e-3);
  EXPECT_EQ(normal->weight("mlp.b_in").abs().sum().item<double>(), 0);
  EXPECT_EQ(normal->n_parameters(), 100 * 400 + 400 * 50 + 50 + 50 * 400 + 400 + 400 * 100);
  config.init = Init::haiku;
  const auto haiku = make_mlp(config, spec, make_generator(0));
  // A normal distribution cut off at two standard deviations: variance 1 - 4 phi(2)/(2 Phi(2) - 1).
  const double phi = std::exp(-2.0) / std::sqrt(2 * M_PI), cut = std::sqrt(1 - 4 * phi / std::erf(M_SQRT2));
  EXPECT_NEAR(deviation(*haiku, "embed.W_E"), std::sqrt(2 / 100.0), 2e-3);
  EXPECT_NEAR(deviation(*haiku, "mlp.W_in"), cut / std::sqrt(400.0), 1e-3);
  EXPECT_NEAR(deviation(*haiku, "mlp.W_out"), cut / std::sqrt(50.0), 2e-3);
  EXPECT_NEAR(deviation(*haiku, "unembed.W_U"), std::sqrt(2 / 400.0), 1e-3);
  EXPECT_LE(haiku->weight("mlp.W_in").abs().max().item<double>(), 2 / std::sqrt(400.0) + 1e-6);
  EXPECT_GT(haiku->weight("mlp.W_in").abs().max().item<double>(), 1.95 / std::sqrt(400.0));
  config.init_scale = 3;
  const auto scaled = make_mlp(config, spec, make_generator(0));
  EXPECT_TRUE(torch::allclose(scaled->weight("mlp.W_out"), 3 * haiku->weight("mlp.W_out")));
  EXPECT_TRUE(torch::allclose(scaled->weight("embed.W_E"), 3 * haiku->weight("embed.W_E")));
}

TEST(Mlp, IsAKindOfModel) {
  const auto model =
      make_model("mlp", {{"input", std::string("bits")}, {"d_mlp", int64_t{16}}}, parity, make_generator(0));
  EXPECT_EQ(model->weight("mlp.W_in").sizes(), (std::vector<int64_t>{6, 16}));
  EXPECT_NO_THROW(check_declaration(model_parameters("mlp")));
}

std::string refusal(const MlpConfig& config, const TaskSpec& spec) {
  try {
    make_mlp(config, spec, make_generator(0));
    return "";
  } catch (const UsageError& error) {
    EXPECT_NE(error.hint(), "");
    return error.what();
  }
}

TEST(Mlp, RefusesWhatMakesNoSense) {
  EXPECT_EQ(refusal({.embedding = Embedding::circular}, sum),
            "embedding \"circular\" has d_embed 2, got 500");
  for (const auto collapse : {Collapse::input, Collapse::both})
    EXPECT_EQ(
        refusal({.embedding = Embedding::circular, .collapse = collapse, .d_embed = 2}, sum),
        "embedding \"circular\" is fixed, and collapse \"" + name_of(collapse) + "\" leaves no embedding");
  for (const auto collapse : {Collapse::input, Collapse::output, Collapse::both})
    EXPECT_EQ(refusal({.collapse = collapse}, sum),
              "embedding \"tied\" is one matrix for embedding and unembedding, and collapse \"" +
                  name_of(collapse) + "\" leaves no such pair");
  EXPECT_EQ(refusal({.input = Input::bits}, sum), "input \"bits\" needs a task with 2 tokens, got 8");
  const TaskSpec few_tokens{.d_vocab = 4, .d_vocab_out = 7, .n_ctx = 2, .read_out = {1}};
  EXPECT_EQ(
      refusal({}, few_tokens),
      "embedding \"tied\" takes the output classes for tokens, and the task has 7 classes for 4 tokens");
  EXPECT_EQ(refusal({.embedding = Embedding::input_tied}, few_tokens), "");
  const TaskSpec one_token{.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 1, .read_out = {0}};
  for (const auto input : {Input::embedding, Input::one_hot_sum})
    EXPECT_EQ(refusal({.input = input}, one_token),
              "input \"" + name_of(input) +
                  "\" reads the operands at positions 0 and 1, and the task's inputs have 1 token");
  const TaskSpec four_tokens{.d_vocab = 9, .d_vocab_out = 7, .n_ctx = 4, .read_out = {3}};
  for (const auto input : {Input::embedding, Input::one_hot_sum})
    EXPECT_EQ(
        refusal({.input = input}, four_tokens),
        "input \"" + name_of(input) +
            "\" reads the operands at positions 0 and 1, and the task's inputs have 4 tokens, more than "
            "two operands and \"=\"");
}

}  // namespace
}  // namespace orrery::mlp_test
