#include "engine/import/weight_roles.h"

#include <gtest/gtest.h>

namespace orrery::engine {
namespace {

struct Expected {
  const char* name;
  Role role;
  const char* pattern;
};

TEST(WeightRoles, are_read_off_the_names_of_many_code_bases) {
  const Expected all[] = {
      {"transformer.wte.weight", Role::embed, "transformer.wte.weight"},
      {"transformer.h.2.attn.c_attn.weight", Role::qkv, "transformer.h.{layer}.attn.c_attn.weight"},
      {"transformer.h.2.attn.c_proj.weight", Role::o, "transformer.h.{layer}.attn.c_proj.weight"},
      {"transformer.h.2.mlp.c_proj.weight", Role::mlp_out, "transformer.h.{layer}.mlp.c_proj.weight"},
      {"transformer.ln_f.weight", Role::ln_final, "transformer.ln_f.weight"},
      {"lm_head.weight", Role::unembed, "lm_head.weight"},
      {"encoder.layers.0.self_attn.in_proj_weight", Role::qkv,
       "encoder.layers.{layer}.self_attn.in_proj_weight"},
      {"encoder.layers.0.self_attn.out_proj.weight", Role::o,
       "encoder.layers.{layer}.self_attn.out_proj.weight"},
      {"encoder.layers.0.linear1.weight", Role::mlp_in, "encoder.layers.{layer}.linear1.weight"},
      {"encoder.layers.0.norm2.weight", Role::ln2, "encoder.layers.{layer}.norm2.weight"},
      {"layers.1.self_attn.q_proj.weight", Role::q, "layers.{layer}.self_attn.q_proj.weight"},
      {"layers.1.mlp.gate_proj.weight", Role::mlp_gate, "layers.{layer}.mlp.gate_proj.weight"},
      {"layers.1.post_attention_layernorm.weight", Role::ln2,
       "layers.{layer}.post_attention_layernorm.weight"},
      {"embed_tokens.weight", Role::embed, "embed_tokens.weight"},
      {"norm.weight", Role::ln_final, "norm.weight"},
      {"blocks.0.ln1.gamma", Role::ln1, "blocks.{layer}.ln1.gamma"},
      {"blocks.0.attn.qkv.weight", Role::qkv, "blocks.{layer}.attn.qkv.weight"},
      {"blocks.0.attn.proj.weight", Role::o, "blocks.{layer}.attn.proj.weight"},
      {"blocks.0.attn.causal_mask", Role::buffer, "blocks.{layer}.attn.causal_mask"},
      {"pos_emb", Role::pos, "pos_emb"},
      {"position_embedding_table.weight", Role::pos, "position_embedding_table.weight"},
      {"block_3.attention.query.weight", Role::q, "block_{layer}.attention.query.weight"},
      {"attn.key.weight", Role::k, "attn.key.weight"},
      {"block.attn.q_proj.weight", Role::q, "block.attn.q_proj.weight"},
      {"unembed.weight", Role::unembed, "unembed.weight"},
      {"blocks.0.ffwd.net.2.weight", Role::mlp_numbered, "blocks.{layer}.ffwd.net.2.weight"},
  };
  for (const Expected& expected : all) {
    const auto part = part_of(expected.name);
    ASSERT_TRUE(part) << expected.name;
    EXPECT_EQ(part->role, expected.role) << expected.name;
    EXPECT_EQ(part->pattern, expected.pattern);
  }
}

TEST(WeightRoles, heads_layers_and_kinds) {
  const auto head = part_of("layers.0.heads.3.W_Q.weight");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->role, Role::q);
  EXPECT_EQ(head->layer, 0);
  EXPECT_EQ(head->head, 3);
  EXPECT_EQ(head->pattern, "layers.{layer}.heads.{head}.W_Q.weight");
  EXPECT_TRUE(head->linear);
  EXPECT_EQ(part_of("ffn.2.bias")->number, 2);
  EXPECT_TRUE(part_of("ffn.2.bias")->bias);
  EXPECT_TRUE(part_of("h.0.attn.in_proj_bias")->bias);
  EXPECT_FALSE(part_of("h.0.attn.in_proj_bias")->linear);
}

TEST(WeightRoles, what_is_no_part_of_a_transformer_is_not_guessed) {
  for (const char* name : {"arc_A", "blocks.0.attn.qkv_A", "blocks.0.attn.q_norm.weight", "block.mlp.fc1.A",
                           "spiral_amp", "loss.weight", "0.weight", "", "blocks.0", "..", "a..b"})
    EXPECT_FALSE(part_of(name)) << name;
}

}  // namespace
}  // namespace orrery::engine
