// The transformer of the toy-model literature: learned positions, no LayerNorm, hook points everywhere.
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/model.h>
#include <orrery/task.h>

#include <cstdint>
#include <memory>
#include <string>

namespace orrery {

/// Sizes and options, in TransformerLens's names; the defaults are those of Nanda et al. 2023.
struct ORRERY_API TransformerConfig {
  enum class ActFn { relu, gelu };
  enum class Normalization { none, LN, LNPre };
  enum class Biases { none, mlp, all };

  int64_t n_layers = 1;
  int64_t d_model = 128;
  int64_t n_heads = 4;
  int64_t d_head = 32;
  int64_t d_mlp = 512;
  bool attn_only = false;  ///< without MLPs
  ActFn act_fn = ActFn::relu;
  Normalization normalization_type = Normalization::none;
  Biases biases = Biases::mlp;
  static void fields(Fields<TransformerConfig>& f);

  friend Names<ActFn> names_of(ActFn) { return {{"relu", ActFn::relu}, {"gelu", ActFn::gelu}}; }
  friend Names<Normalization> names_of(Normalization) {
    return {{"none", Normalization::none}, {"LN", Normalization::LN}, {"LNPre", Normalization::LNPre}};
  }
  friend Names<Biases> names_of(Biases) {
    return {{"none", Biases::none}, {"mlp", Biases::mlp}, {"all", Biases::all}};
  }
};

/// Weights are drawn from `rng` as in Nanda et al. 2023: normal with standard deviation 1/sqrt(d_model), W_U
/// 1/sqrt(d_vocab), biases zero. Attention is causal; embedding and unembedding are not tied.
///
/// embed.W_E [d_vocab, d_model]    pos_embed.W_pos [n_ctx, d_model]    unembed.W_U [d_model, d_vocab_out]
/// blocks.L.attn.W_Q, W_K, W_V [n_heads, d_model, d_head]    blocks.L.attn.W_O [n_heads, d_head, d_model]
/// blocks.L.mlp.W_in [d_model, d_mlp]    blocks.L.mlp.W_out [d_mlp, d_model]
/// biases = "mlp" or "all":    blocks.L.mlp.b_in [d_mlp], b_out [d_model]
/// biases = "all":    blocks.L.attn.b_Q, b_K, b_V [n_heads, d_head], b_O [d_model]
///     unembed.b_U [d_vocab_out]
/// normalization_type = "LN" (before attention, MLP and unembedding, epsilon 1e-5; "LNPre" has no weights):
///     blocks.L.ln1.w, ln1.b, ln2.w, ln2.b, ln_final.w, ln_final.b [d_model]
///
/// Hook points, in the order of the forward pass; a probe's cache has n_read in place of the first n_ctx:
///     hook_embed, hook_pos_embed [batch, n_ctx, d_model]; then for each layer L, under blocks.L.
///     hook_resid_pre [batch, n_ctx, d_model]
///     attn.hook_q, attn.hook_k, attn.hook_v [batch, n_ctx, n_heads, d_head]
///     attn.hook_attn_scores, attn.hook_pattern [batch, n_heads, n_ctx (query), n_ctx (key)]: scores are over
///         sqrt(d_head), and minus infinity for keys after the query; patterns add up to 1 over the keys
///     attn.hook_z [batch, n_ctx, n_heads, d_head]
///     hook_attn_out, hook_resid_mid [batch, n_ctx, d_model]
///     mlp.hook_pre, mlp.hook_post [batch, n_ctx, d_mlp], hook_mlp_out [batch, n_ctx, d_model], unless
///         attn_only
///     hook_resid_post [batch, n_ctx, d_model]
ORRERY_API std::unique_ptr<Model> make_transformer(const TransformerConfig& config, const TaskSpec& spec,
                                                   torch::Generator rng);

}  // namespace orrery
