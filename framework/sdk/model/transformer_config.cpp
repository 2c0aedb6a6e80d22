// The options of the transformer: their declaration, which of them go together, and what probes refuse.
#include <fmt/format.h>
#include <orrery/error.h>

#include "sdk/model/transformer_weights.h"

namespace orrery {
namespace {

using Attention = TransformerConfig::AttentionDir;
using Position = TransformerConfig::PositionalEmbedding;
using Normalization = TransformerConfig::Normalization;
using Place = TransformerConfig::NormalizationPlace;
using Unembedding = TransformerConfig::Unembedding;

void check_rotary(const TransformerConfig& c) {
  if (c.positional_embedding_type != Position::rotary) {
    const TransformerConfig plain;
    if (c.rotary_dim == plain.rotary_dim && c.rotary_base == plain.rotary_base && !c.rotary_adjacent_pairs)
      return;
    throw UsageError(fmt::format("rotary_dim, rotary_base or rotary_adjacent_pairs is set, and "
                                 "positional_embedding_type is \"{}\"",
                                 name_of(c.positional_embedding_type)),
                     "set positional_embedding_type = \"rotary\", or leave the rotary keys out");
  }
  const int64_t dim = c.rotary_dim > 0 ? c.rotary_dim : c.d_head;
  if (dim > c.d_head)
    throw UsageError(fmt::format("rotary_dim is {}, and a head has d_head = {} entries", dim, c.d_head),
                     fmt::format("set rotary_dim to {} or less, or to 0 for all", c.d_head));
  if (dim % 2 != 0)
    throw UsageError(
        fmt::format("rotary positions turn pairs of entries, and {} is {}, an odd number",
                    c.rotary_dim > 0 ? "rotary_dim" : "d_head (rotary_dim 0 means all of it)", dim),
        fmt::format("set rotary_dim to an even number up to {}", c.d_head));
}

void check_unembedding(const TransformerConfig& c, const TaskSpec& spec) {
  if (c.unembedding == Unembedding::identity && c.d_model != spec.d_vocab_out)
    throw UsageError(fmt::format("unembedding \"identity\" takes the residual stream for the logits: d_model "
                                 "is {}, and the task has {} classes",
                                 c.d_model, spec.d_vocab_out),
                     fmt::format("set d_model = {}, or unembedding = \"own\"", spec.d_vocab_out));
  if (c.unembedding == Unembedding::tied && spec.d_vocab < spec.d_vocab_out)
    throw UsageError(fmt::format("unembedding \"tied\" takes the output classes for tokens, and the task has "
                                 "{} classes for {} tokens",
                                 spec.d_vocab_out, spec.d_vocab),
                     "set unembedding = \"own\"");
}

// The first option by which patterns are not the causal softmax of q k / sqrt(d_head); "" if there is none.
std::string other_attention(const TransformerConfig& c, const TaskSpec& spec) {
  if (c.attention_dir != Attention::causal)
    return fmt::format("attention_dir = \"{}\"", name_of(c.attention_dir));
  if (c.positional_embedding_type == Position::rotary) return "positional_embedding_type = \"rotary\"";
  if (c.attn_scale != 0) return fmt::format("attn_scale = {}", c.attn_scale);
  if (c.attn_coeff != 1) return fmt::format("attn_coeff = {}", c.attn_coeff);
  if (c.normalization_place != Place::pre)
    return fmt::format("normalization_place = \"{}\"", name_of(c.normalization_place));
  if (spec.pad_token >= 0) return "a task with a pad_token";
  return "";
}

}  // namespace

void TransformerConfig::fields(Fields<TransformerConfig>& f) {
  using C = TransformerConfig;
  f.add("n_layers", &C::n_layers, "number of blocks").between(1, 1000);
  f.add("d_model", &C::d_model, "width of the residual stream").at_least(1);
  f.add("n_heads", &C::n_heads, "attention heads per block").at_least(1);
  f.add("d_head", &C::d_head, "width of one head").at_least(1);
  f.add("d_mlp", &C::d_mlp, "neurons per block").at_least(1);
  f.add("n_ctx", &C::n_ctx, "longest context, the rows of W_pos; 0: the task's").at_least(0);
  f.add("attn_only", &C::attn_only, "leave out the MLPs");
  f.add("gated_mlp", &C::gated_mlp, "neurons are act_fn(x W_gate) (x W_in + b_in)");
  f.add("act_fn", &C::act_fn,
        "activation function of the MLPs; gelu is exact, gelu_new its approximation by tanh");
  f.add("attention_dir", &C::attention_dir, "whether a position attends to earlier ones and itself, or all");
  f.add("attn_scale", &C::attn_scale, "attention scores are divided by it; 0: sqrt(d_head)").at_least(0);
  f.add("attn_coeff", &C::attn_coeff,
        "a pattern is this times the softmax, plus 1 less this at every key (Zhong et al. 2023)")
      .between(0, 1);
  f.add("positional_embedding_type", &C::positional_embedding_type,
        "W_pos, queries and keys turned by their position, or nothing");
  f.add("rotary_base", &C::rotary_base, "rotary: pair i turns by position / rotary_base^(2i / rotary_dim)")
      .at_least(1);
  f.add("rotary_dim", &C::rotary_dim, "rotary: entries that are turned, an even number; 0: d_head")
      .at_least(0);
  f.add("rotary_adjacent_pairs", &C::rotary_adjacent_pairs,
        "rotary: whether pairs are neighbours (GPT-J), or half of rotary_dim apart (GPT-NeoX)");
  f.add("normalization_type", &C::normalization_type,
        "LayerNorm or RMSNorm; LNPre and RMSPre have no weights of their own");
  f.add("normalization_eps", &C::normalization_eps, "added to the variance, or to the mean square")
      .between(1e-12, 1);
  f.add("normalization_place", &C::normalization_place,
        "before attention and MLP, or behind the sum of the stream and what they add");
  f.add("final_norm", &C::final_norm,
        "whether the unembedding has a normalisation before it, where there is one");
  f.add("biases", &C::biases, "which parts have biases; \"all\" adds attention and unembedding");
  f.add("unembedding", &C::unembedding,
        "W_U, the transposed embedding, or none: the residual stream is the logits");
}

void check_config(const TransformerConfig& c, const TaskSpec& spec) {
  if (c.n_ctx != 0 && c.n_ctx < spec.n_ctx)
    throw UsageError(fmt::format("n_ctx is {}, and the task's inputs have {} tokens", c.n_ctx, spec.n_ctx),
                     fmt::format("set n_ctx to {} or more, or to 0 for the task's", spec.n_ctx));
  if (c.gated_mlp && c.attn_only)
    throw UsageError("gated_mlp is set, and attn_only leaves no MLP", "leave one of the two out");
  if (c.normalization_place == Place::post && c.normalization_type == Normalization::none)
    throw UsageError("normalization_place is \"post\", and normalization_type is \"none\"",
                     "set normalization_type = \"LN\", or leave normalization_place out");
  check_rotary(c);
  check_unembedding(c, spec);
}

std::string refuse_other_attention(const Model& model, const TaskSpec& spec) {
  const TransformerConfig* const config = model.transformer_config();
  const std::string other = config ? other_attention(*config, spec) : "";
  if (other.empty()) return "";
  return fmt::format(
      "it takes attention for the causal softmax of q k / sqrt(d_head), behind ln1 if there is one; "
      "this model has {}",
      other);
}

std::string refuse_gated_mlp(const Model& model, const TaskSpec&) {
  const TransformerConfig* const config = model.transformer_config();
  if (!config || !config->gated_mlp) return "";
  return "it takes mlp.hook_pre for all that a neuron reads; this model has gated_mlp";
}

}  // namespace orrery
