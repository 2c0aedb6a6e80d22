// Every option of the transformer against its formula, in float64: logits, gradients, what hook points see,
// and which pass it is trained with.
#include <gtest/gtest.h>
#include <orrery/hooks.h>

#include <functional>
#include <limits>

#include "tests/support/transformer_reference.h"

namespace orrery::transformer_options_test {
namespace {

using C = TransformerConfig;
using testing::TransformerReference;

struct Case {
  std::string name;
  bool fast;  // whether a fast pass knows it
  C config;
  TaskSpec spec = {.d_vocab = 7, .d_vocab_out = 6, .n_ctx = 5, .read_out = {2, 4}};
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// A small network, changed by `change`.
Case with(const std::string& name, bool fast, const std::function<void(C&, TaskSpec&)>& change) {
  Case made{name, fast, {.n_layers = 2, .d_model = 6, .n_heads = 2, .d_head = 4, .d_mlp = 5}};
  change(made.config, made.spec);
  return made;
}

void normalised(C& c) {
  c.normalization_type = C::Normalization::LN;
  c.biases = C::Biases::all;
}
void rotary(C& c) { c.positional_embedding_type = C::PositionalEmbedding::rotary; }

std::vector<Case> cases() {
  const auto norm = [](C::Normalization type) {
    return [type](C& c, TaskSpec&) { c.normalization_type = type; };
  };
  const auto act = [](C::ActFn act_fn) { return [act_fn](C& c, TaskSpec&) { c.act_fn = act_fn; }; };
  const auto bidirectional = [](C& c) { c.attention_dir = C::AttentionDir::bidirectional; };
  return {
      with("defaults", true, [](C&, TaskSpec&) {}),
      with("longer_context", true, [](C& c, TaskSpec&) { c.n_ctx = 9; }),
      with("bidirectional", false, [&](C& c, TaskSpec&) { bidirectional(c); }),
      with("padding", false, [](C&, TaskSpec& spec) { spec.pad_token = 2; }),
      with("padding_bidirectional", false,
           [&](C& c, TaskSpec& spec) {
             bidirectional(c);
             spec.pad_token = 0;
           }),
      with("attn_scale", false, [](C& c, TaskSpec&) { c.attn_scale = 0.7; }),
      with("attn_coeff", false, [](C& c, TaskSpec&) { c.attn_coeff = 0.3; }),
      with("attn_coeff_bidirectional", false,
           [&](C& c, TaskSpec&) {
             bidirectional(c);
             c.attn_coeff = 0;
           }),
      with("attn_coeff_padding", false,
           [](C& c, TaskSpec& spec) {
             c.attn_coeff = 0.6;
             spec.pad_token = 1;
           }),
      with("gelu", true, act(C::ActFn::gelu)),
      with("gelu_new", true, act(C::ActFn::gelu_new)),
      with("silu", true, act(C::ActFn::silu)),
      with("tanh", true, act(C::ActFn::tanh)),
      with("RMS", true, norm(C::Normalization::RMS)),
      with("RMSPre", true, norm(C::Normalization::RMSPre)),
      with("LNPre", true, norm(C::Normalization::LNPre)),
      with("eps", true,
           [](C& c, TaskSpec&) {
             normalised(c);
             c.normalization_eps = 0.3;
           }),
      with("eps_of_RMS", true,
           [](C& c, TaskSpec&) {
             c.normalization_type = C::Normalization::RMS;
             c.normalization_eps = 0.3;
           }),
      with("no_final_norm", true,
           [](C& c, TaskSpec&) {
             normalised(c);
             c.final_norm = false;
           }),
      with("post", false,
           [](C& c, TaskSpec&) {
             normalised(c);
             c.normalization_place = C::NormalizationPlace::post;
             c.final_norm = false;
           }),
      with("post_attn_only_and_final_norm", false,
           [](C& c, TaskSpec&) {
             normalised(c);
             c.normalization_place = C::NormalizationPlace::post;
             c.attn_only = true;
           }),
      with("tied", true,
           [](C& c, TaskSpec&) {
             normalised(c);
             c.unembedding = C::Unembedding::tied;
           }),
      with("tied_attn_only", true,
           [](C& c, TaskSpec& spec) {
             c.unembedding = C::Unembedding::tied;
             c.attn_only = true;
             spec.read_out = {0, 1, 2, 3, 4};
           }),
      with("identity", true,
           [](C& c, TaskSpec&) {
             normalised(c);
             c.unembedding = C::Unembedding::identity;
           }),
      with("gated", false, [](C& c, TaskSpec&) { c.gated_mlp = true; }),
      with("gated_silu", false,
           [](C& c, TaskSpec&) {
             c.gated_mlp = true;
             c.biases = C::Biases::none;
             c.act_fn = C::ActFn::silu;
           }),
      with("no_positions", false,
           [](C& c, TaskSpec&) { c.positional_embedding_type = C::PositionalEmbedding::none; }),
      with("rotary", false, [](C& c, TaskSpec&) { rotary(c); }),
      with("rotary_adjacent_pairs", false,
           [](C& c, TaskSpec&) {
             rotary(c);
             c.rotary_adjacent_pairs = true;
             c.rotary_base = 30;
           }),
      with("rotary_dim", false,
           [](C& c, TaskSpec&) {
             rotary(c);
             c.rotary_dim = 2;
           }),
      with("all_at_once", false,
           [&](C& c, TaskSpec& spec) {
             bidirectional(c);
             rotary(c);
             c.attn_scale = 1.3;
             c.attn_coeff = 0.8;
             c.gated_mlp = true;
             c.act_fn = C::ActFn::silu;
             c.normalization_type = C::Normalization::RMS;
             c.normalization_place = C::NormalizationPlace::post;
             c.unembedding = C::Unembedding::tied;
             c.biases = C::Biases::all;
             spec.pad_token = 6;
           }),
  };
}

class TransformerOption : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    torch::Generator rng = make_generator(5);
    model = make_transformer(config, spec, rng);
    for (NamedWeight& w : model->weights()) w.value.data().add_(torch::randn(w.value.sizes(), rng), 0.4);
    tokens = torch::randint(spec.d_vocab, {3, spec.n_ctx}, rng, torch::kInt64);
    tokens[0] = std::max<int64_t>(spec.pad_token, 0);  // nothing but padding
    tokens[1][0] = tokens[0][0];                       // its first position sees itself only
    weight = torch::randn({3, static_cast<int64_t>(spec.read_out.size()), spec.d_vocab_out}, rng);
  }

  torch::Tensor read(const torch::Tensor& logits) const {
    return logits.index_select(1, torch::tensor(spec.read_out, torch::kInt64));
  }
  void expect_gradients(const TransformerReference& expected, const char* pass) {
    const auto largest = [&](const std::string& name) {
      return expected.weights().at(name).grad().abs().max().item<double>();
    };
    for (NamedWeight& w : model->weights()) {
      ASSERT_TRUE(w.value.grad().defined()) << w.name;
      // Softmax does not see what b_K adds to all scores of a query: terms as large as W_K's cancel.
      const bool cancels = w.name.ends_with("b_K");
      const double size = largest(cancels ? w.name.substr(0, w.name.size() - 3) + "W_K" : w.name);
      const torch::Tensor right = expected.weights().at(w.name).grad();
      EXPECT_LT((w.value.grad() - right).abs().max().item<double>(), 2e-5 * size + 1e-6)
          << pass << " " << w.name;
      w.value.mutable_grad() = torch::Tensor();
    }
  }

  const C config = GetParam().config;
  const TaskSpec spec = GetParam().spec;
  std::unique_ptr<Model> model;
  torch::Tensor tokens, weight;
};

TEST_P(TransformerOption, IsItsFormulaInValuesAndGradients) {
  const TransformerReference reference(*model, config, spec);
  const torch::Tensor expected = reference.forward(tokens), logits = model->forward(tokens);
  ASSERT_EQ(logits.sizes(), expected.sizes());
  EXPECT_LT((logits - expected).abs().max().item<double>(), 1e-5 * expected.abs().max().item<double>());
  (read(expected) * weight).sum().backward();
  (read(logits) * weight).sum().backward();
  expect_gradients(reference, "plain");
  const torch::Tensor fast = read_out(*model, {tokens, spec.read_out})->logits();
  EXPECT_LT((fast - read(expected)).abs().max().item<double>(), 1e-5 * expected.abs().max().item<double>());
  (fast * weight).sum().backward();
  expect_gradients(reference, "read_out");
}

TEST_P(TransformerOption, HasAFastPassWhereTheHeaderSaysSo) {
  EXPECT_EQ(model->fast_read_out({tokens, spec.read_out}) != nullptr, GetParam().fast);
  const std::string neurons = "blocks.1.mlp.hook_post";
  EXPECT_EQ(model->fast_read_out_keeps({neurons}), GetParam().fast);
  if (config.attn_only) return;
  const auto seen = read_out(*model, {tokens, spec.read_out, {}, /*observed=*/true, {neurons}});
  seen->logits();
  const auto plain = run_with_cache(*model, tokens, {neurons});
  EXPECT_TRUE(torch::allclose(seen->activations().at(neurons), read(plain.cache[neurons]), 1e-4, 1e-6));
}

TEST_P(TransformerOption, PatternsAreWhatMultipliesV) {
  const auto seen = run_with_cache(*model, tokens).cache;
  for (const std::string attn : {"blocks.0.attn.", "blocks.1.attn."}) {
    const torch::Tensor pattern = seen[attn + "hook_pattern"], scores = seen[attn + "hook_attn_scores"];
    const torch::Tensor z = torch::einsum("bhqk,bkhd->bqhd", {pattern, seen[attn + "hook_v"]});
    EXPECT_TRUE(torch::allclose(seen[attn + "hook_z"], z, 1e-5, 1e-6));
    EXPECT_TRUE(torch::isfinite(pattern).all().item<bool>());
    const torch::Tensor masked = torch::isinf(scores);
    EXPECT_TRUE(pattern.masked_select(masked).eq(0).all().item<bool>());
    if (config.attn_coeff == 0) {
      EXPECT_TRUE(pattern.masked_select(masked.logical_not()).eq(1).all().item<bool>());
    }
  }
}

// What the model says of its hook points is the order in which the forward pass meets them.
TEST_P(TransformerOption, HookPointsComeInTheOrderOfTheForwardPass) {
  std::vector<std::string> met;
  std::vector<Hook> hooks;
  for (const std::string& name : model->hook_point_names())
    hooks.emplace_back(name, [&met, name](const torch::Tensor& x) {
      met.push_back(name);
      return x;
    });
  run_with_hooks(*model, tokens, hooks);
  EXPECT_EQ(met, model->hook_point_names());
}

INSTANTIATE_TEST_SUITE_P(All, TransformerOption, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

// The forward pass and the draws as they were before there were options, operation by operation.
TEST(TransformerOptions, DefaultsAreTheBitsOfTheClassicTransformer) {
  const TaskSpec spec{.d_vocab = 7, .d_vocab_out = 6, .n_ctx = 5, .read_out = {4}};
  const C config{.d_model = 20, .n_heads = 2, .d_head = 8, .d_mlp = 24};
  const auto model = make_transformer(config, spec, make_generator(3));
  torch::Generator rng = make_generator(3);
  const auto draw = [&](std::vector<int64_t> shape, double fan) {
    return torch::randn(shape, rng) / std::sqrt(fan);
  };
  const std::vector<std::pair<std::string, torch::Tensor>> drawn{{"embed.W_E", draw({7, 20}, 20)},
                                                                 {"pos_embed.W_pos", draw({5, 20}, 20)},
                                                                 {"blocks.0.attn.W_Q", draw({2, 20, 8}, 20)},
                                                                 {"blocks.0.attn.W_K", draw({2, 20, 8}, 20)},
                                                                 {"blocks.0.attn.W_V", draw({2, 20, 8}, 20)},
                                                                 {"blocks.0.attn.W_O", draw({2, 8, 20}, 20)},
                                                                 {"blocks.0.mlp.W_in", draw({20, 24}, 20)},
                                                                 {"blocks.0.mlp.b_in", torch::zeros({24})},
                                                                 {"blocks.0.mlp.W_out", draw({24, 20}, 20)},
                                                                 {"blocks.0.mlp.b_out", torch::zeros({20})},
                                                                 {"unembed.W_U", draw({20, 6}, 7)}};
  ASSERT_EQ(model->weights().size(), drawn.size());
  for (size_t i = 0; i < drawn.size(); ++i) {
    EXPECT_EQ(model->weights()[i].name, drawn[i].first);
    EXPECT_TRUE(model->weights()[i].value.equal(drawn[i].second)) << drawn[i].first;
  }

  const torch::NoGradGuard no_grad;
  const auto W = [&](const std::string& name) { return model->weight(name); };
  const torch::Tensor tokens = torch::randint(7, {4, 5}, rng, torch::kInt64);
  const torch::Tensor x =
      torch::embedding(W("embed.W_E"), tokens) + W("pos_embed.W_pos").unsqueeze(0).expand({4, 5, 20});
  const auto heads = [&](const char* name) {
    const torch::Tensor flat = W(std::string("blocks.0.attn.") + name).transpose(0, 1).reshape({20, 16});
    return x.reshape({-1, 20}).mm(flat).view({4, 5, 2, 8});
  };
  torch::Tensor scores = torch::matmul(heads("W_Q").transpose(1, 2), heads("W_K").permute({0, 2, 3, 1}));
  scores =
      (scores / std::sqrt(8.0))
          .masked_fill(torch::ones({5, 5}, torch::kBool).triu(1), -std::numeric_limits<double>::infinity());
  const torch::Tensor z =
      torch::matmul(torch::softmax(scores, -1), heads("W_V").transpose(1, 2)).transpose(1, 2);
  torch::Tensor resid = x + z.reshape({-1, 16}).mm(W("blocks.0.attn.W_O").reshape({16, 20})).view({4, 5, 20});
  const torch::Tensor post =
      torch::relu(torch::matmul(resid, W("blocks.0.mlp.W_in")) + W("blocks.0.mlp.b_in"));
  resid = resid + (torch::matmul(post, W("blocks.0.mlp.W_out")) + W("blocks.0.mlp.b_out"));
  EXPECT_TRUE(model->forward(tokens).equal(torch::matmul(resid, W("unembed.W_U"))));
}

std::vector<std::string> points(const C& config) {
  return make_transformer(config, {.d_vocab = 7, .d_vocab_out = 6, .n_ctx = 5, .read_out = {4}},
                          make_generator(1))
      ->hook_point_names();
}

TEST(TransformerOptions, HookPointsAreThoseOfTransformerLens) {
  const std::vector<std::string> classic{"hook_embed",
                                         "hook_pos_embed",
                                         "blocks.0.hook_resid_pre",
                                         "blocks.0.attn.hook_q",
                                         "blocks.0.attn.hook_k",
                                         "blocks.0.attn.hook_v",
                                         "blocks.0.attn.hook_attn_scores",
                                         "blocks.0.attn.hook_pattern",
                                         "blocks.0.attn.hook_z",
                                         "blocks.0.hook_attn_out",
                                         "blocks.0.hook_resid_mid",
                                         "blocks.0.mlp.hook_pre",
                                         "blocks.0.mlp.hook_post",
                                         "blocks.0.hook_mlp_out",
                                         "blocks.0.hook_resid_post"};
  EXPECT_EQ(points({.d_model = 6, .d_head = 4, .d_mlp = 5}), classic);
  const std::vector<std::string> other{"hook_embed",
                                       "blocks.0.hook_resid_pre",
                                       "blocks.0.attn.hook_q",
                                       "blocks.0.attn.hook_k",
                                       "blocks.0.attn.hook_v",
                                       "blocks.0.attn.hook_rot_q",
                                       "blocks.0.attn.hook_rot_k",
                                       "blocks.0.attn.hook_attn_scores",
                                       "blocks.0.attn.hook_pattern",
                                       "blocks.0.attn.hook_z",
                                       "blocks.0.hook_attn_out",
                                       "blocks.0.hook_resid_mid",
                                       "blocks.0.mlp.hook_pre",
                                       "blocks.0.mlp.hook_pre_linear",
                                       "blocks.0.mlp.hook_post",
                                       "blocks.0.hook_mlp_out",
                                       "blocks.0.hook_resid_post"};
  C config{.d_model = 6, .d_head = 4, .d_mlp = 5, .gated_mlp = true};
  rotary(config);
  EXPECT_EQ(points(config), other);
}

TEST(TransformerOptions, WeightsAreThereWhereTheyAreUsed) {
  const TaskSpec spec{.d_vocab = 7, .d_vocab_out = 6, .n_ctx = 5, .read_out = {4}};
  const auto names = [&](const C& config) {
    return make_transformer(config, spec, make_generator(1))->weight_names();
  };
  C config{.d_model = 6, .d_head = 4, .d_mlp = 5, .gated_mlp = true, .biases = C::Biases::all};
  config.normalization_type = C::Normalization::RMS;
  config.unembedding = C::Unembedding::identity;
  rotary(config);
  const std::vector<std::string> expected{"embed.W_E",         "blocks.0.ln1.w",      "blocks.0.attn.W_Q",
                                          "blocks.0.attn.W_K", "blocks.0.attn.W_V",   "blocks.0.attn.W_O",
                                          "blocks.0.ln2.w",    "blocks.0.mlp.W_gate", "blocks.0.mlp.W_in",
                                          "blocks.0.mlp.b_in", "blocks.0.mlp.W_out",  "blocks.0.mlp.b_out",
                                          "blocks.0.attn.b_Q", "blocks.0.attn.b_K",   "blocks.0.attn.b_V",
                                          "blocks.0.attn.b_O", "ln_final.w"};
  EXPECT_EQ(names(config), expected);
  config.final_norm = false;
  EXPECT_EQ(names(config), std::vector<std::string>(expected.begin(), expected.end() - 1));
  const auto longer = make_transformer({.n_ctx = 9}, spec, make_generator(1));
  EXPECT_EQ(longer->weight("pos_embed.W_pos").size(0), 9);
}

}  // namespace
}  // namespace orrery::transformer_options_test
