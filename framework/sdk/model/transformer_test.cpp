// The plain forward pass against a transformer written out in loops, and the read-out pass against the plain
// one.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/transformer.h>

#include <cmath>

namespace orrery::transformer_test {
namespace {

using ActFn = TransformerConfig::ActFn;
using Normalization = TransformerConfig::Normalization;
using Biases = TransformerConfig::Biases;

using Matrix = std::vector<std::vector<double>>;

Matrix matrix(const torch::Tensor& t) {
  const torch::Tensor d = t.detach().to(torch::kFloat64).contiguous();
  Matrix m(d.size(0), std::vector<double>(d.size(1)));
  for (int64_t i = 0; i < d.size(0); ++i)
    for (int64_t j = 0; j < d.size(1); ++j) m[i][j] = d.data_ptr<double>()[i * d.size(1) + j];
  return m;
}

// x W for one row vector x.
std::vector<double> times(const std::vector<double>& x, const Matrix& W) {
  std::vector<double> y(W[0].size(), 0.0);
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t j = 0; j < y.size(); ++j) y[j] += x[i] * W[i][j];
  return y;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void add_to(std::vector<double>& a, const std::vector<double>& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
}

void add_bias(const Model& model, const std::string& name, std::vector<double>& x) {
  for (const NamedWeight& weight : model.weights())
    if (weight.name == name) add_to(x, matrix(weight.value.reshape({1, -1}))[0]);
}

// The row as attention, MLP or unembedding see it.
std::vector<double> normalised(const Model& model, const TransformerConfig& config, const std::string& norm,
                               std::vector<double> x) {
  if (config.normalization_type == Normalization::none) return x;
  double mean = 0, variance = 0;
  for (const double entry : x) mean += entry / x.size();
  for (const double entry : x) variance += (entry - mean) * (entry - mean) / x.size();
  for (double& entry : x) entry = (entry - mean) / std::sqrt(variance + 1e-5);
  if (config.normalization_type == Normalization::LNPre) return x;
  const auto w = matrix(model.weight(norm + ".w").unsqueeze(0))[0];
  for (size_t i = 0; i < x.size(); ++i) x[i] *= w[i];
  add_bias(model, norm + ".b", x);
  return x;
}

void add_attention(const Model& model, const TransformerConfig& config, const std::string& block,
                   Matrix& resid) {
  const torch::Tensor W_Q = model.weight(block + "attn.W_Q"), W_K = model.weight(block + "attn.W_K"),
                      W_V = model.weight(block + "attn.W_V"), W_O = model.weight(block + "attn.W_O");
  Matrix before = resid;
  for (auto& row : before) row = normalised(model, config, block + "ln1", row);
  const auto projected = [&](const std::vector<double>& x, const torch::Tensor& W, const char* bias,
                             int64_t head) {
    std::vector<double> y = times(x, matrix(W[head]));
    for (const NamedWeight& weight : model.weights())
      if (weight.name == block + "attn." + bias) add_to(y, matrix(weight.value)[head]);
    return y;
  };
  for (int64_t h = 0; h < W_Q.size(0); ++h)
    for (size_t query = 0; query < before.size(); ++query) {
      const std::vector<double> q = projected(before[query], W_Q, "b_Q", h);
      std::vector<double> weight(query + 1);
      double total = 0;
      for (size_t key = 0; key <= query; ++key)
        total += weight[key] =
            std::exp(dot(q, projected(before[key], W_K, "b_K", h)) / std::sqrt(double(W_Q.size(2))));
      for (size_t key = 0; key <= query; ++key) {
        std::vector<double> moved = times(projected(before[key], W_V, "b_V", h), matrix(W_O[h]));
        for (double& entry : moved) entry *= weight[key] / total;
        add_to(resid[query], moved);
      }
    }
}

void add_mlp(const Model& model, const TransformerConfig& config, const std::string& block, Matrix& resid) {
  const Matrix W_in = matrix(model.weight(block + "mlp.W_in")),
               W_out = matrix(model.weight(block + "mlp.W_out"));
  for (auto& row : resid) {
    std::vector<double> post = times(normalised(model, config, block + "ln2", row), W_in);
    add_bias(model, block + "mlp.b_in", post);
    for (double& x : post)
      x = config.act_fn == ActFn::relu ? std::max(x, 0.0) : x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    add_to(row, times(post, W_out));
    add_bias(model, block + "mlp.b_out", row);
  }
}

// The logits of one example, [n_ctx, d_vocab_out].
Matrix by_hand(const Model& model, const TransformerConfig& config, const std::vector<int64_t>& tokens) {
  const Matrix W_E = matrix(model.weight("embed.W_E")), W_pos = matrix(model.weight("pos_embed.W_pos")),
               W_U = matrix(model.weight("unembed.W_U"));
  Matrix resid;
  for (size_t i = 0; i < tokens.size(); ++i) {
    resid.push_back(W_E[tokens[i]]);
    add_to(resid.back(), W_pos[i]);
  }
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".";
    add_attention(model, config, block, resid);
    for (auto& row : resid) add_bias(model, block + "attn.b_O", row);
    if (!config.attn_only) add_mlp(model, config, block, resid);
  }
  for (auto& row : resid) {
    row = times(normalised(model, config, "ln_final", row), W_U);
    add_bias(model, "unembed.b_U", row);
  }
  return resid;
}

struct Case {
  const char* name;
  TransformerConfig config;
  int64_t d_vocab, n_ctx, batch;
  std::vector<int64_t> read_out;
  bool same_end = false;  // whether all inputs end with the same token, as in a b =
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

TransformerConfig config(int64_t n_layers, int64_t n_heads, bool attn_only, ActFn act_fn = ActFn::relu) {
  return {.n_layers = n_layers,
          .d_model = 12,
          .n_heads = n_heads,
          .d_head = 5,
          .d_mlp = 17,
          .attn_only = attn_only,
          .act_fn = act_fn};
}

TransformerConfig with(TransformerConfig config, Normalization normalization_type, Biases biases) {
  config.normalization_type = normalization_type;
  config.biases = biases;
  return config;
}

TransformerConfig wide(Biases biases) {
  return {.d_model = 32, .n_heads = 2, .d_head = 8, .d_mlp = 64, .biases = biases};
}

// Between them they take every path of the read-out pass: table or dense rows, score pairs or products, few
// keys or many, masked or not, last layer or not; folded (the network is wide and inputs repeat) or not;
// attention only, read at its first positions or elsewhere.
const Case cases[] = {
    {"modular", config(1, 4, false), 8, 3, 64, {2}},
    {"middle_position", config(1, 2, false), 8, 3, 64, {1}},
    {"several_positions", config(1, 2, false, ActFn::gelu), 4, 9, 50, {5, 6, 8}},
    {"long_context", config(1, 2, true), 3, 12, 40, {11}},
    {"few_repeats", config(1, 2, false), 50, 4, 20, {3}},
    {"pairs_do_not_pay", config(1, 3, false), 30, 3, 45, {0, 1, 2}},
    {"two_layers", config(2, 3, false), 7, 5, 30, {4}},
    {"two_layers_attn_only", config(2, 2, true), 20, 10, 6, {3, 4, 9}},
    {"three_layers_all_positions", config(3, 1, false), 5, 4, 9, {0, 1, 2, 3}},
    {"layer_norm", with(config(1, 3, false), Normalization::LN, Biases::all), 8, 3, 64, {2}},
    {"layer_norm_two_layers",
     with(config(2, 2, false, ActFn::gelu), Normalization::LN, Biases::all),
     6,
     5,
     30,
     {2, 4}},
    {"layer_norm_without_weights",
     with(config(2, 2, true), Normalization::LNPre, Biases::none),
     6,
     5,
     30,
     {3, 4}},
    {"no_biases", with(config(1, 2, false), Normalization::none, Biases::none), 8, 3, 64, {2}},
    {"all_biases", with(config(1, 2, false), Normalization::none, Biases::all), 30, 3, 45, {0, 1, 2}},
    {"folded", wide(Biases::mlp), 8, 3, 300, {2}},
    {"folded_middle_position", wide(Biases::mlp), 8, 5, 300, {2}},
    {"folded_all_biases", wide(Biases::all), 6, 4, 300, {3}},
    {"folded_same_end", wide(Biases::mlp), 8, 3, 300, {2}, true},
    {"folded_same_end_all_biases", wide(Biases::all), 8, 3, 300, {2}, true},
    {"folded_no_biases", wide(Biases::none), 6, 3, 300, {1}},
    {"first_positions", config(2, 4, true), 20, 10, 6, {0, 1, 2, 3, 4, 5, 6, 7, 8}},
    {"first_positions_three_layers", config(3, 4, true), 20, 6, 6, {0, 1, 2, 3, 4, 5}},
};

class TransformerTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    torch::Generator rng = make_generator(7);
    const TaskSpec spec{c.d_vocab, c.d_vocab - 1, c.n_ctx, c.read_out, {}};
    model = make_transformer(c.config, spec, rng);
    for (NamedWeight& w : model->weights())  // biases too, so that a forgotten one is noticed
      if (w.value.dim() == 1 || w.name.find(".b_") != std::string::npos)
        w.value.data().add_(torch::randn(w.value.sizes(), rng), 0.3);
    tokens = torch::randint(c.d_vocab, {c.batch, c.n_ctx}, rng, torch::kInt64);
    if (c.same_end) tokens.select(1, c.n_ctx - 1).fill_(c.d_vocab - 1);
    labels =
        torch::randint(c.d_vocab - 1, {c.batch, static_cast<int64_t>(c.read_out.size())}, rng, torch::kInt64);
  }

  // The mean cross-entropy in float64, and the gradients it leaves.
  std::pair<double, std::vector<torch::Tensor>> loss_and_gradients(const torch::Tensor& logits) {
    for (NamedWeight& w : model->weights()) w.value.mutable_grad() = torch::Tensor();
    const torch::Tensor loss =
        torch::nll_loss(torch::log_softmax(logits.to(torch::kFloat64).reshape({-1, logits.size(-1)}), -1),
                        labels.reshape({-1}));
    loss.backward();
    std::vector<torch::Tensor> gradients;
    for (NamedWeight& w : model->weights()) gradients.push_back(w.value.grad().clone());
    return {loss.item<double>(), gradients};
  }

  std::unique_ptr<Model> model;
  torch::Tensor tokens, labels;
};

TEST_P(TransformerTest, PlainForwardIsTheFormula) {
  const torch::Tensor logits = model->forward(tokens);
  for (int64_t example = 0; example < 3; ++example) {
    const torch::Tensor row = tokens[example].contiguous();
    const Matrix expected =
        by_hand(*model, GetParam().config, {row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + row.numel()});
    const Matrix got = matrix(logits[example]);
    for (size_t i = 0; i < got.size(); ++i)
      for (size_t j = 0; j < got[i].size(); ++j) EXPECT_NEAR(got[i][j], expected[i][j], 2e-5);
  }
}

TEST_P(TransformerTest, ReadOutEqualsPlainInLossAndGradients) {
  const auto pass = read_out(*model, {tokens, GetParam().read_out});
  const auto [loss, gradients] = loss_and_gradients(pass->logits());
  const auto [plain_loss, plain_gradients] =
      loss_and_gradients(model->forward(tokens).index_select(1, torch::tensor(GetParam().read_out)));
  EXPECT_NEAR(loss, plain_loss, 1e-5 * plain_loss);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const double scale = plain_gradients[i].norm().item<double>();
    if (model->weights()[i].name.ends_with(
            "b_K")) {  // shifts all scores of a query alike: softmax does not see it
      EXPECT_LT(gradients[i].norm().item<double>(), 1e-6);
      EXPECT_LT(scale, 1e-6);
      continue;
    }
    EXPECT_GT(scale, 0) << model->weights()[i].name;
    EXPECT_LT((gradients[i] - plain_gradients[i]).norm().item<double>(), 1e-5 * scale)
        << model->weights()[i].name;
  }
}

TEST_P(TransformerTest, ReadOutOfScoredLogitsIsThatOfAllWhereTheyCount) {
  torch::Generator rng = make_generator(3);
  torch::Tensor scored = torch::rand(labels.sizes(), rng) < 0.4;
  scored[0][0] = true;
  const auto gradients_of = [&](const torch::Tensor& logits) {
    for (NamedWeight& w : model->weights()) w.value.mutable_grad() = torch::Tensor();
    (logits * scored.unsqueeze(2)).square().sum().backward();
    std::vector<torch::Tensor> gradients;
    for (NamedWeight& w : model->weights()) gradients.push_back(w.value.grad().clone());
    return gradients;
  };
  const torch::Tensor all = read_out(*model, {tokens, GetParam().read_out})->logits();
  const torch::Tensor some = read_out(*model, {tokens, GetParam().read_out, scored})->logits();
  ASSERT_EQ(some.sizes(), all.sizes());
  EXPECT_TRUE(torch::allclose(some.index({scored}), all.index({scored}), 1e-5, 1e-6));
  const auto of_some = gradients_of(some), of_all = gradients_of(all);
  for (size_t i = 0; i < of_all.size(); ++i)
    EXPECT_LE((of_some[i] - of_all[i]).norm().item<double>(), 1e-5 * of_all[i].norm().item<double>())
        << model->weights()[i].name;
}

TEST_P(TransformerTest, ReadOutFollowsTheWeights) {
  const auto pass = read_out(*model, {tokens, GetParam().read_out});
  pass->logits();
  for (NamedWeight& w : model->weights()) w.value.data().mul_(1.25);
  const torch::Tensor expected = model->forward(tokens).index_select(1, torch::tensor(GetParam().read_out));
  EXPECT_TRUE(torch::allclose(pass->logits(), expected, 1e-4, 1e-5));
}

INSTANTIATE_TEST_SUITE_P(Shapes, TransformerTest, ::testing::ValuesIn(cases),
                         [](const auto& info) { return info.param.name; });

TEST(Transformer, StartsAsInThePaper) {
  const auto model = make_transformer({}, {114, 113, 3, {2}, {}}, make_generator(0));
  EXPECT_NEAR(model->weight("blocks.0.mlp.W_in").std().item<double>(), 1 / std::sqrt(128.0), 1e-3);
  EXPECT_NEAR(model->weight("embed.W_E").std().item<double>(), 1 / std::sqrt(128.0), 3e-3);
  EXPECT_NEAR(model->weight("unembed.W_U").std().item<double>(), 1 / std::sqrt(114.0), 3e-3);
  EXPECT_EQ(model->weight("blocks.0.mlp.b_in").abs().sum().item<double>(), 0);
  EXPECT_EQ(model->n_parameters(),
            114 * 128 + 3 * 128 + 4 * 128 * 128 + 2 * 128 * 512 + 512 + 128 + 128 * 113);
}

TEST(Transformer, SameSeedSameBits) {
  const TaskSpec spec{9, 8, 3, {2}, {}};
  const auto a = make_transformer({}, spec, make_generator(3)),
             b = make_transformer({}, spec, make_generator(3)),
             other = make_transformer({}, spec, make_generator(4));
  for (size_t i = 0; i < a->weights().size(); ++i)
    EXPECT_TRUE(a->weights()[i].value.equal(b->weights()[i].value));
  EXPECT_FALSE(a->weight("embed.W_E").equal(other->weight("embed.W_E")));
}

class Hooks : public ::testing::Test {
 protected:
  std::unique_ptr<Model> model = make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 16},
                                                  {5, 4, 3, {2}, {}}, make_generator(1));
  torch::Tensor tokens = torch::tensor({0, 1, 4, 3, 2, 4}, torch::kInt64).view({2, 3});
};

TEST_F(Hooks, CacheHoldsTheFieldsShapes) {
  const auto [logits, cache] = run_with_cache(*model, tokens);
  EXPECT_TRUE(logits.equal(model->forward(tokens)));
  EXPECT_EQ(cache.names().size(), model->hook_points().size());
  EXPECT_EQ(cache["hook_embed"].sizes(), (std::vector<int64_t>{2, 3, 8}));
  EXPECT_EQ(cache["blocks.0.attn.hook_q"].sizes(), (std::vector<int64_t>{2, 3, 2, 4}));
  EXPECT_EQ(cache["blocks.0.attn.hook_pattern"].sizes(), (std::vector<int64_t>{2, 2, 3, 3}));
  EXPECT_EQ(cache["blocks.0.attn.hook_z"].sizes(), (std::vector<int64_t>{2, 3, 2, 4}));
  EXPECT_EQ(cache["blocks.0.mlp.hook_post"].sizes(), (std::vector<int64_t>{2, 3, 16}));
  EXPECT_TRUE(torch::allclose(cache["blocks.0.attn.hook_pattern"].sum(-1), torch::ones({2, 2, 3})));
  EXPECT_TRUE(torch::allclose(cache["blocks.0.hook_resid_post"],
                              cache["blocks.0.hook_resid_mid"] + cache["blocks.0.hook_mlp_out"]));
}

TEST_F(Hooks, EditReplacesTheActivation) {
  const auto zero = [](const torch::Tensor& x) { return torch::zeros_like(x); };
  const torch::Tensor ablated =
      run_with_hooks(*model, tokens, {{"blocks.0.hook_attn_out", zero}, {"blocks.0.hook_mlp_out", zero}});
  const torch::Tensor direct =
      torch::matmul(torch::embedding(model->weight("embed.W_E"), tokens) + model->weight("pos_embed.W_pos"),
                    model->weight("unembed.W_U"));
  EXPECT_TRUE(torch::allclose(ablated, direct, 1e-5, 1e-6));
  EXPECT_FALSE(torch::allclose(model->forward(tokens), direct, 1e-5, 1e-6));
}

TEST_F(Hooks, ModelIsCleanAfterAThrow) {
  const torch::Tensor before = model->forward(tokens);
  const auto boom = [](const torch::Tensor&) -> torch::Tensor { throw std::runtime_error("boom"); };
  EXPECT_THROW(run_with_hooks(*model, tokens, {{"blocks.0.mlp.hook_post", boom}}), std::runtime_error);
  EXPECT_TRUE(model->forward(tokens).equal(before));
}

TEST_F(Hooks, GlobThatMatchesNothingNamesTheNearest) {
  try {
    run_with_hooks(*model, tokens,
                   {{"*", [](const torch::Tensor&) -> torch::Tensor { throw std::logic_error(""); }},
                    {"blocks.0.mlp.hook_posst", [](const torch::Tensor& x) { return x; }}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "no hook point matches \"blocks.0.mlp.hook_posst\" (did you mean \"blocks.0.mlp.hook_post\"?)");
  }
  model->forward(tokens);  // the first hook was not left behind
}

TEST_F(Hooks, Globs) {
  EXPECT_TRUE(matches("blocks.*.attn.hook_pattern", "blocks.0.attn.hook_pattern"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*post", "blocks.0.mlp.hook_post"));
  EXPECT_FALSE(matches("blocks.*", "hook_embed"));
  EXPECT_FALSE(matches("hook", "hook_embed"));
  EXPECT_TRUE(matches("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(matches("a*b*c", "aXbYbZ"));
}

TEST_F(Hooks, UnknownWeightNamesTheNearest) {
  try {
    model->weight("blocks.0.attn.WQ");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean \"blocks.0.attn.W_Q\"?"), std::string::npos);
  }
}

}  // namespace
}  // namespace orrery::transformer_test
