// What the transformer refuses, and what probes refuse of it.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

#include <functional>

#include "sdk/model/catalog.h"

namespace orrery::transformer_refusals_test {
namespace {

using C = TransformerConfig;

const TaskSpec spec{.d_vocab = 7, .d_vocab_out = 6, .n_ctx = 5, .read_out = {4}};

std::string refusal(const std::function<void(C&)>& change, const TaskSpec& of = spec) {
  C config{.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12};
  change(config);
  try {
    make_transformer(config, of, make_generator(1));
  } catch (const UsageError& error) {
    EXPECT_NE(error.hint(), "");
    return error.what();
  }
  return "made";
}

TEST(TransformerRefusals, OptionsThatContradictEachOther) {
  EXPECT_EQ(refusal([](C&) {}), "made");
  EXPECT_EQ(refusal([](C& c) { c.n_ctx = 4; }), "n_ctx is 4, and the task's inputs have 5 tokens");
  EXPECT_EQ(refusal([](C& c) { c.n_ctx = 5; }), "made");
  EXPECT_EQ(refusal([](C& c) { c.gated_mlp = c.attn_only = true; }),
            "gated_mlp is set, and attn_only leaves no MLP");
  EXPECT_EQ(refusal([](C& c) { c.normalization_place = C::NormalizationPlace::post; }),
            "normalization_place is \"post\", and normalization_type is \"none\"");
  EXPECT_EQ(refusal([](C& c) { c.final_norm = false; }), "made");
}

TEST(TransformerRefusals, RotaryPositionsThatNoHeadHas) {
  const auto rotary = [](int64_t rotary_dim, int64_t d_head = 4) {
    return refusal([&](C& c) {
      c.positional_embedding_type = C::PositionalEmbedding::rotary;
      c.rotary_dim = rotary_dim;
      c.d_head = d_head;
    });
  };
  EXPECT_EQ(rotary(0), "made");
  EXPECT_EQ(rotary(2), "made");
  EXPECT_EQ(rotary(3), "rotary positions turn pairs of entries, and rotary_dim is 3, an odd number");
  EXPECT_EQ(rotary(6), "rotary_dim is 6, and a head has d_head = 4 entries");
  EXPECT_EQ(rotary(0, 5),
            "rotary positions turn pairs of entries, and d_head (rotary_dim 0 means all of it) is 5, an odd "
            "number");
  EXPECT_EQ(rotary(4, 5), "made");
  const std::string unused =
      "rotary_dim, rotary_base or rotary_adjacent_pairs is set, and positional_embedding_type is "
      "\"standard\"";
  EXPECT_EQ(refusal([](C& c) { c.rotary_dim = 2; }), unused);
  EXPECT_EQ(refusal([](C& c) { c.rotary_base = 500; }), unused);
  EXPECT_EQ(refusal([](C& c) { c.rotary_adjacent_pairs = true; }), unused);
}

TEST(TransformerRefusals, UnembeddingsThatDoNotFit) {
  const auto unembedding = [](C::Unembedding kind, int64_t d_model, const TaskSpec& of = spec) {
    return refusal(
        [&](C& c) {
          c.unembedding = kind;
          c.d_model = d_model;
        },
        of);
  };
  EXPECT_EQ(unembedding(C::Unembedding::identity, 6), "made");
  EXPECT_EQ(
      unembedding(C::Unembedding::identity, 8),
      "unembedding \"identity\" takes the residual stream for the logits: d_model is 8, and the task has 6 "
      "classes");
  EXPECT_EQ(unembedding(C::Unembedding::tied, 8), "made");
  EXPECT_EQ(
      unembedding(C::Unembedding::tied, 8, {.d_vocab = 3, .d_vocab_out = 6, .n_ctx = 5, .read_out = {4}}),
      "unembedding \"tied\" takes the output classes for tokens, and the task has 6 classes for 3 tokens");
}

TEST(TransformerRefusals, ValuesOutOfBounds) {
  const std::vector<std::pair<std::string, Value>> values{{"attn_coeff", 1.5},
                                                          {"attn_coeff", -0.1},
                                                          {"attn_scale", -1.0},
                                                          {"normalization_eps", 0.0},
                                                          {"rotary_base", 0.5},
                                                          {"rotary_dim", int64_t{-2}},
                                                          {"n_ctx", int64_t{-1}},
                                                          {"act_fn", std::string("swish")},
                                                          {"attention_dir", std::string("both")}};
  for (const auto& [name, value] : values)
    EXPECT_THROW(make_model("transformer", {{name, value}}, spec, make_generator(1)), Error) << name;
}

std::string attention(const std::function<void(C&)>& change, const TaskSpec& of = spec) {
  C config{.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12};
  config.normalization_type = C::Normalization::RMS;
  change(config);
  const std::string said = refuse_other_attention(*make_transformer(config, of, make_generator(1)), of);
  return said.empty() ? "" : said.substr(said.find("has ") + 4);
}

TEST(TransformerRefusals, ProbesThatRebuildAttention) {
  EXPECT_EQ(attention([](C& c) {
              c.n_ctx = 9;
              c.act_fn = C::ActFn::silu;
              c.gated_mlp = true;
              c.unembedding = C::Unembedding::tied;
              c.positional_embedding_type = C::PositionalEmbedding::none;
            }),
            "");
  EXPECT_EQ(attention([](C& c) { c.attention_dir = C::AttentionDir::bidirectional; }),
            "attention_dir = \"bidirectional\"");
  EXPECT_EQ(attention([](C& c) { c.positional_embedding_type = C::PositionalEmbedding::rotary; }),
            "positional_embedding_type = \"rotary\"");
  EXPECT_EQ(attention([](C& c) { c.attn_scale = 1; }), "attn_scale = 1");
  EXPECT_EQ(attention([](C& c) { c.attn_coeff = 0; }), "attn_coeff = 0");
  EXPECT_EQ(attention([](C& c) { c.normalization_place = C::NormalizationPlace::post; }),
            "normalization_place = \"post\"");
  TaskSpec padded = spec;
  padded.pad_token = 6;
  EXPECT_EQ(attention([](C&) {}, padded), "a task with a pad_token");
}

}  // namespace
}  // namespace orrery::transformer_refusals_test
