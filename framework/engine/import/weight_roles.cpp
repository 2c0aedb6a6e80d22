#include "engine/import/weight_roles.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace orrery::engine {
namespace {

using Words = std::vector<std::string>;

enum class Within { any, attention, mlp, top };  // of the block, or outside of all blocks

struct Spellings {
  Role role;
  Within part;
  std::vector<std::string_view> leaves;
};

// From nanoGPT, minGPT, GPT-2, LLaMA, PyTorch's own layers, fairseq, the UvA and ARENA courses,
// x-transformers and the public repositories of small networks. Leaves that mean different things are told
// apart by `part`.
const std::vector<Spellings>& spellings() {
  static const auto* all = new std::vector<Spellings>{
      {Role::ln1,
       Within::any,
       {"ln1", "ln_1", "norm1", "norm_1", "attn_norm", "attention_norm", "input_layernorm", "layernorm1",
        "layer_norm1", "layer_norm_1", "ln_attn", "norm_attn", "attn_ln", "pre_attn_norm",
        "self_attn_layer_norm", "attn_layer_norm"}},
      {Role::ln2,
       Within::any,
       {"ln2", "ln_2", "norm2", "norm_2", "mlp_norm", "ffn_norm", "ff_norm", "post_attention_layernorm",
        "layernorm2", "layer_norm2", "layer_norm_2", "ln_mlp", "norm_mlp", "norm_ff", "mlp_ln",
        "pre_mlp_norm", "ffn_layer_norm"}},
      {Role::ln_final,
       Within::top,
       {"ln_f", "ln_final", "norm", "final_norm", "norm_f", "ln_out", "final_ln", "ln", "layer_norm",
        "layernorm", "final_layernorm", "final_layer_norm", "norm_final", "output_norm", "post_norm", "lnf"}},
      {Role::q,
       Within::any,
       {"q_proj", "query", "w_q", "wq", "to_q", "q_linear", "query_proj", "linear_q", "queries", "q_lin",
        "w_query", "query_projection"}},
      {Role::k,
       Within::any,
       {"k_proj", "key", "w_k", "wk", "to_k", "k_linear", "key_proj", "linear_k", "keys", "k_lin", "w_key",
        "key_projection"}},
      {Role::v,
       Within::any,
       {"v_proj", "value", "w_v", "wv", "to_v", "v_linear", "value_proj", "linear_v", "values", "v_lin",
        "w_value", "value_projection"}},
      {Role::q, Within::attention, {"q"}},
      {Role::k, Within::attention, {"k"}},
      {Role::v, Within::attention, {"v"}},
      {Role::qkv,
       Within::any,
       {"c_attn", "qkv", "qkv_proj", "in_proj", "w_qkv", "to_qkv", "wqkv", "attn_qkv", "c_qkv",
        "qkv_linear"}},
      {Role::qkv_by_head, Within::any, {"query_key_value"}},
      {Role::o, Within::any, {"o_proj", "w_o", "wo", "to_out", "out_linear", "unify_heads", "unifyheads"}},
      {Role::o,
       Within::attention,
       {"c_proj", "out_proj", "proj", "out", "dense", "output", "projection", "o", "output_proj", "proj_out",
        "linear_out", "fc"}},
      {Role::mlp_in, Within::any, {"c_fc", "linear1", "fc_in", "dense_h_to_4h"}},
      {Role::mlp_out, Within::any, {"linear2", "dense_4h_to_h"}},
      {Role::mlp_in,
       Within::mlp,
       {"up", "fc1", "up_proj", "w1", "w3", "lin1", "w_in", "fc_1", "linear_1", "l1", "fc", "w_1"}},
      {Role::mlp_out,
       Within::mlp,
       {"c_proj", "down", "fc2", "down_proj", "w2", "lin2", "w_out", "fc_2", "linear_2", "l2", "proj", "w_2",
        "fc_out"}},
      {Role::mlp_gate, Within::any, {"gate_proj", "w_gate"}},
      {Role::mlp_gate, Within::mlp, {"gate"}},
      {Role::embed,
       Within::top,
       {"wte",
        "tok_emb",
        "token_embedding",
        "token_emb",
        "token_embedding_table",
        "tok_embed",
        "tok_embedding",
        "tok_embeddings",
        "token_embeddings",
        "embed_tokens",
        "embedding",
        "embed",
        "embeddings",
        "token_embed",
        "emb",
        "embed_tok",
        "embed_in",
        "token_embeds",
        "word_embeddings",
        "word_embedding",
        "input_embedding",
        "tok"}},
      {Role::pos,
       Within::top,
       {"wpe", "pos_emb", "pos_embedding", "position_embedding", "position_embedding_table",
        "positional_embedding", "pos_embed", "position_embeddings", "pos_embeddings", "positional_embeddings",
        "position_embed", "position_emb", "pos_encoding", "positional_encoding", "pos_encoder", "pe", "pos",
        "w_pos"}},
      {Role::unembed,
       Within::top,
       {"lm_head",      "head",        "unembed",       "unembedding", "output",      "out",
        "fc_out",       "output_proj", "decoder",       "classifier",  "fc",          "linear",
        "output_layer", "proj_out",    "to_logits",     "out_proj",    "output_head", "embed_out",
        "readout",      "fc_final",    "output_linear", "to_out"}},
      {Role::buffer,
       Within::any,
       {"causal_mask", "mask", "tril", "attn_mask", "masked_bias", "inv_freq", "ignore",
        "num_batches_tracked", "position_ids", "bias_mask"}},
  };
  return *all;
}

bool is_short_number(std::string_view word) {
  return !word.empty() && word.size() < 5 &&
         std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isdigit(c); });
}
int64_t to_number(std::string_view word) {
  int64_t value = -1;
  std::from_chars(word.data(), word.data() + word.size(), value);
  return value;
}
bool one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}
bool is_attention(std::string_view word) {
  return word.find("attn") != word.npos || word.find("attention") != word.npos ||
         one_of(word, {"mha", "msa", "sa", "sa_heads", "sa_head"});
}
bool is_mlp(std::string_view word) {
  return one_of(word, {"mlp", "ffn", "ff", "ffwd", "feed_forward", "feedforward", "feed_fwd", "fwd", "mlps"});
}

Words split(const std::string& name, char at = '.') {
  Words words(1);
  for (const char c : name)
    if (c == at)
      words.emplace_back();
    else
      words.back() += c;
  return words;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// "layers", "3"; or "layer_3" in one word. Replaces the number in `words` and returns it.
int64_t take_number(Words& words, std::initializer_list<std::string_view> holders, const char* placeholder,
                    size_t& after) {
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string word = lower(words[i]);
    if (i > 0 && is_short_number(word) && one_of(lower(words[i - 1]), holders)) {
      words[i] = placeholder;
      after = i + 1;
      return to_number(word);
    }
    for (const std::string_view holder : holders) {
      if (!word.starts_with(holder)) continue;
      const size_t begin = holder.size() + (word.size() > holder.size() && word[holder.size()] == '_');
      if (!is_short_number(std::string_view(word).substr(begin))) continue;
      words[i] = words[i].substr(0, begin) + placeholder;
      after = i + 1;
      return to_number(std::string_view(word).substr(begin));
    }
  }
  return -1;
}

std::string join(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ".") + word;
  return text;
}

// Takes the last word off where it says what of a layer the tensor is, as ".weight" does.
void take_kind(Words& body, NamedPart& part) {
  const std::string last = lower(body.back());
  if (body.size() > 1 && one_of(last, {"weight", "w", "gamma", "scale", "bias", "b", "beta"})) {
    part.bias = one_of(last, {"bias", "b", "beta"});
    part.linear = last == "weight";
    body.pop_back();
    return;
  }
  for (const auto& [ending, bias] : {std::pair<std::string_view, bool>{"_weight", false}, {"_bias", true}})
    if (last.size() > ending.size() && last.ends_with(ending)) {
      part.bias = bias;
      part.linear = !bias;
      body.back().resize(last.size() - ending.size());
    }
}

std::optional<Role> role_of(const Words& body, bool in_block, NamedPart& part) {
  const std::string leaf = lower(body.back());
  bool attention = false, mlp = false, embedding = false;
  for (size_t i = 0; i + 1 < body.size(); ++i) {
    if (lower(body[i]).find("cross") != std::string::npos) return {};  // attention to another network
    embedding |= lower(body[i]).find("emb") != std::string::npos;
    attention |= is_attention(lower(body[i]));
    mlp |= is_mlp(lower(body[i]));
  }
  if (mlp && is_short_number(leaf)) {
    part.number = to_number(leaf);
    return Role::mlp_numbered;
  }
  const bool top = !in_block && !attention && !mlp;
  for (const Spellings& one : spellings())
    if (std::find(one.leaves.begin(), one.leaves.end(), leaf) != one.leaves.end() &&
        (one.part == Within::any || (one.part == Within::attention && attention && !mlp) ||
         (one.part == Within::mlp && mlp) || (one.part == Within::top && top)) &&
        !(one.role == Role::ln_final && embedding))
      return one.role;
  return {};
}

}  // namespace

std::optional<NamedPart> part_of(const std::string& name) {
  NamedPart part;
  Words words = split(name);
  size_t block = 0, head = 0;
  part.layer = take_number(words,
                           {"h", "layers", "layer", "blocks", "block", "transformer_blocks", "encoder_layers",
                            "decoder_layers", "resblocks", "attn_blocks", "transformer"},
                           "{layer}", block);
  part.head = take_number(words, {"heads", "head", "attn_heads", "attention_heads"}, "{head}", head);
  part.pattern = join(words);
  Words body(words.begin() + static_cast<ptrdiff_t>(block), words.end());
  if (body.empty()) return {};
  take_kind(body, part);
  // What is in a head is in attention.
  if (part.head >= 0) body.insert(body.begin(), "attn");
  const bool in_block =
      part.layer >= 0 || std::any_of(words.begin(), words.end(), [](const std::string& word) {
        return one_of(lower(word), {"block", "layer"});
      });
  const auto role = role_of(body, in_block, part);
  if (!role) return {};
  part.role = *role;
  return part;
}

}  // namespace orrery::engine
