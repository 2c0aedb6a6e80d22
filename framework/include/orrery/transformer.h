// The transformer of the toy-model literature, hook points everywhere. Its defaults are those of Nanda et al.
// 2023: causal, learned positions, no LayerNorm.
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/model.h>
#include <orrery/task.h>

#include <cstdint>
#include <memory>
#include <string>

namespace orrery {

/// Sizes and options, in the names of TransformerLens's HookedTransformerConfig where it has them; the
/// defaults are those of Nanda et al. 2023.
struct ORRERY_API TransformerConfig {
  enum class ActFn { relu, gelu, gelu_new, silu, tanh };
  enum class AttentionDir { causal, bidirectional };
  enum class PositionalEmbedding { standard, rotary, none };
  enum class Normalization { none, LN, LNPre, RMS, RMSPre };
  enum class NormalizationPlace { pre, post };
  enum class Biases { none, mlp, all };
  enum class Unembedding { own, tied, identity };

  int64_t n_layers = 1;
  int64_t d_model = 128;
  int64_t n_heads = 4;
  int64_t d_head = 32;
  int64_t d_mlp = 512;
  int64_t n_ctx = 0;       ///< longest context; 0: the task's
  bool attn_only = false;  ///< without MLPs
  bool gated_mlp = false;
  ActFn act_fn = ActFn::relu;
  AttentionDir attention_dir = AttentionDir::causal;
  double attn_scale = 0;  ///< scores are divided by it; 0: sqrt(d_head)
  double attn_coeff = 1;  ///< see make_transformer
  PositionalEmbedding positional_embedding_type = PositionalEmbedding::standard;
  double rotary_base = 10'000;
  int64_t rotary_dim = 0;  ///< entries of q and k that are rotated, the first; 0: all d_head
  bool rotary_adjacent_pairs = false;
  Normalization normalization_type = Normalization::none;
  double normalization_eps = 1e-5;  ///< `eps` in TransformerLens
  NormalizationPlace normalization_place = NormalizationPlace::pre;
  bool final_norm = true;  ///< whether there is ln_final, where there is a normalisation
  Biases biases = Biases::mlp;
  Unembedding unembedding = Unembedding::own;
  static void fields(Fields<TransformerConfig>& f);

  friend Names<ActFn> names_of(ActFn) {
    return {{"relu", ActFn::relu},
            {"gelu", ActFn::gelu},
            {"gelu_new", ActFn::gelu_new},
            {"silu", ActFn::silu},
            {"tanh", ActFn::tanh}};
  }
  friend Names<AttentionDir> names_of(AttentionDir) {
    return {{"causal", AttentionDir::causal}, {"bidirectional", AttentionDir::bidirectional}};
  }
  friend Names<PositionalEmbedding> names_of(PositionalEmbedding) {
    return {{"standard", PositionalEmbedding::standard},
            {"rotary", PositionalEmbedding::rotary},
            {"none", PositionalEmbedding::none}};
  }
  friend Names<Normalization> names_of(Normalization) {
    return {{"none", Normalization::none},
            {"LN", Normalization::LN},
            {"LNPre", Normalization::LNPre},
            {"RMS", Normalization::RMS},
            {"RMSPre", Normalization::RMSPre}};
  }
  friend Names<NormalizationPlace> names_of(NormalizationPlace) {
    return {{"pre", NormalizationPlace::pre}, {"post", NormalizationPlace::post}};
  }
  friend Names<Biases> names_of(Biases) {
    return {{"none", Biases::none}, {"mlp", Biases::mlp}, {"all", Biases::all}};
  }
  friend Names<Unembedding> names_of(Unembedding) {
    return {{"own", Unembedding::own}, {"tied", Unembedding::tied}, {"identity", Unembedding::identity}};
  }
};

/// Weights are drawn from `rng` as in Nanda et al. 2023: normal with standard deviation 1/sqrt(d_model), W_U
/// 1/sqrt(d_vocab), biases zero. Throws orrery::UsageError if options contradict each other or the task.
///
/// embed.W_E [d_vocab, d_model]    pos_embed.W_pos [n_ctx, d_model]    unembed.W_U [d_model, d_vocab_out]
/// blocks.L.attn.W_Q, W_K, W_V [n_heads, d_model, d_head]    blocks.L.attn.W_O [n_heads, d_head, d_model]
/// blocks.L.mlp.W_in [d_model, d_mlp]    blocks.L.mlp.W_out [d_mlp, d_model]
/// gated_mlp:    blocks.L.mlp.W_gate [d_model, d_mlp]
/// biases = "mlp" or "all":    blocks.L.mlp.b_in [d_mlp], b_out [d_model]
/// biases = "all":    blocks.L.attn.b_Q, b_K, b_V [n_heads, d_head], b_O [d_model]
///     unembed.b_U [d_vocab_out], unless unembedding = "identity"
/// normalization_type = "LN":    blocks.L.ln1.w, ln1.b, ln2.w, ln2.b, ln_final.w, ln_final.b [d_model]
/// normalization_type = "RMS":    blocks.L.ln1.w, ln2.w, ln_final.w [d_model]
///
/// W_pos is there with positional_embedding_type = "standard" only, W_U with unembedding = "own" only, ln2
/// unless attn_only, ln_final with final_norm only. With unembedding = "tied" the logits are x W_E^T of the
/// first d_vocab_out tokens, with "identity" they are the residual stream x (d_model = d_vocab_out).
///
/// Attention. The scores of a query are q k / attn_scale over the keys that it may attend to: those up to its
/// position where causal, all where bidirectional, never those at TaskSpec::pad_token. Its pattern is
/// attn_coeff softmax(scores) + 1 - attn_coeff on these keys (Zhong et al. 2023, arXiv 2306.17844, as in
/// their code: the constant is 1, not 1/n_ctx) and 0 on others. A query without any key to attend to has a
/// pattern of zeros, as in TransformerLens. rotary: entry i of q and k and entry i + rotary_dim/2 (with
/// rotary_adjacent_pairs: 2i and 2i + 1) are turned by the angle position rotary_base^(-2i / rotary_dim);
/// positions count padding.
///
/// MLP. post = act_fn(x W_in + b_in); gated_mlp: post = act_fn(x W_gate) (x W_in + b_in). act_fn "gelu" is
/// the exact one, "gelu_new" its approximation by tanh, "silu" is x sigmoid(x).
///
/// Normalisation: "LN" and "RMS" (x / sqrt(mean(x^2) + eps), times w) before attention, MLP and unembedding;
/// "LNPre" and "RMSPre" are the same without weights. normalization_place = "post" has ln1 and ln2 behind the
/// sum, x = ln1(x + attention(x)), x = ln2(x + mlp(x)), as torch.nn.TransformerEncoderLayer.
///
/// Fast passes (Model::fast_read_out) know n_ctx, act_fn, normalization_type, normalization_eps, final_norm,
/// biases and unembedding. Anything else than the defaults of gated_mlp, attention_dir, attn_scale,
/// attn_coeff, positional_embedding_type and normalization_place, and a pad_token, goes through forward().
///
/// Hook points, in the order of the forward pass; a probe's cache has n_read in place of the first n_ctx:
///     hook_embed [batch, n_ctx, d_model], hook_pos_embed likewise where there is W_pos; then for each layer
///         L, under blocks.L.
///     hook_resid_pre [batch, n_ctx, d_model]
///     attn.hook_q, attn.hook_k, attn.hook_v [batch, n_ctx, n_heads, d_head]
///     attn.hook_rot_q, attn.hook_rot_k [batch, n_ctx, n_heads, d_head] with rotary: q and k, turned
///     attn.hook_attn_scores, attn.hook_pattern [batch, n_heads, n_ctx (query), n_ctx (key)]: scores are over
///         attn_scale, and minus infinity for keys that the query may not attend to; a pattern is what
///         multiplies v, and adds up to 1 over the keys unless attn_coeff is below 1
///     attn.hook_z [batch, n_ctx, n_heads, d_head]
///     hook_attn_out, hook_resid_mid [batch, n_ctx, d_model]
///     mlp.hook_pre, mlp.hook_post [batch, n_ctx, d_mlp], hook_mlp_out [batch, n_ctx, d_model], unless
///         attn_only; with gated_mlp, mlp.hook_pre is x W_gate, and mlp.hook_pre_linear, x W_in + b_in,
///         follows it
///     hook_resid_post [batch, n_ctx, d_model]
/// With normalization_place = "post", hook_resid_mid and hook_resid_post are the stream that goes on, behind
/// ln1 and ln2 (TransformerLens's BertBlock has them before).
ORRERY_API std::unique_ptr<Model> make_transformer(const TransformerConfig& config, const TaskSpec& spec,
                                                   torch::Generator rng);

/// A Needs::refusal (orrery/probe.h) for probes that rebuild attention from W_Q, W_K, W_V and W_O, with ln1
/// folded into them: refuses a transformer whose patterns are not the causal softmax of q k / sqrt(d_head),
/// or whose ln1 is behind attention, and says why. Returns "" for any other model.
ORRERY_API std::string refuse_other_attention(const Model& model, const TaskSpec& spec);

/// A Needs::refusal for probes that take mlp.hook_pre for all that a neuron reads: refuses gated MLPs.
ORRERY_API std::string refuse_gated_mlp(const Model& model, const TaskSpec& spec);

}  // namespace orrery
