#include "engine/export/other_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sdk/files/named_tensors.h"

namespace orrery::engine {
namespace {

using torch::Tensor;

// The network as its checkpoint and its config describe it.
class Network {
 public:
  Network(const NamedTensors& weights, const PluginChoice& model, int64_t n_ctx, const std::string& where)
      : weights_(weights), model_(model), n_ctx_(n_ctx), where_(where) {
    if (model.name != "transformer")
      refuse(fmt::format("a model of kind \"{}\", and only a transformer has such names", model.name));
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw UsageError(fmt::format("{}: {}", where_, what), "export it with Orrery's names: leave out --names");
  }
  template <class T>
  T get(const std::string& name) const {
    return std::get<T>(model_.parameters.at(name));
  }
  std::string text(const std::string& name) const { return get<std::string>(name); }
  bool has(const std::string& name) const {
    return std::any_of(weights_.begin(), weights_.end(), [&](const auto& one) { return one.first == name; });
  }
  Tensor weight(const std::string& name) const { return find_named(weights_, name); }
  Tensor weight_or_zeros(const std::string& name, std::vector<int64_t> shape) const {
    return has(name) ? weight(name) : torch::zeros(shape);
  }
  int64_t integer(const std::string& name) const { return get<int64_t>(name); }
  int64_t d_vocab() const { return weight("embed.W_E").size(0); }
  int64_t n_ctx() const {
    if (has("pos_embed.W_pos")) return weight("pos_embed.W_pos").size(0);
    return std::max(integer("n_ctx"), n_ctx_);
  }
  // [d_model, d_vocab_out]; of a tied one with a column for every token where nothing says which are classes.
  Tensor unembedding() const {
    if (has("unembed.W_U")) return weight("unembed.W_U");
    if (text("unembedding") == "identity") return torch::eye(integer("d_model"));
    const Tensor tied = weight("embed.W_E").t();
    return has("unembed.b_U") ? tied.narrow(1, 0, weight("unembed.b_U").size(0)) : tied;
  }

 private:
  const NamedTensors& weights_;
  const PluginChoice& model_;
  int64_t n_ctx_;
  const std::string& where_;
};

class TransformerLens {
 public:
  explicit TransformerLens(const Network& network) : network_(network) {
    if (network.text("normalization_place") != "pre")
      network.refuse("HookedTransformer normalises before attention and MLP, this network behind them");
    if (network.text("positional_embedding_type") == "none")
      network.refuse("HookedTransformer has positions, this network none");
    if (network.text("act_fn") == "tanh" && !network.get<bool>("attn_only"))
      network.refuse("HookedTransformer has no act_fn \"tanh\"");
    if (network.get<double>("attn_coeff") != 1)
      network.refuse("HookedTransformer has no attention coefficient");
    if (normalised() && !network.get<bool>("final_norm"))
      network.refuse("HookedTransformer has a last normalisation, this network none");
  }

  NamedTensors weights() {
    copy("embed.W_E");
    if (network_.has("pos_embed.W_pos")) copy("pos_embed.W_pos");
    for (int64_t layer = 0; layer < network_.integer("n_layers"); ++layer)
      add_block(fmt::format("blocks.{}.", layer));
    add_norm("ln_final");
    const Tensor W_U = network_.unembedding();
    add("unembed.W_U", W_U);
    add("unembed.b_U", network_.weight_or_zeros("unembed.b_U", {W_U.size(1)}));
    return std::move(weights_);
  }

 private:
  bool normalised() const { return network_.text("normalization_type") != "none"; }
  void add(const std::string& name, const Tensor& value) { weights_.emplace_back(name, value.contiguous()); }
  void copy(const std::string& name) { add(name, network_.weight(name)); }
  void add_norm(const std::string& name) {
    for (const char* part : {".w", ".b"})
      if (network_.has(name + part)) copy(name + part);
  }

  void add_block(const std::string& block) {
    const int64_t heads = network_.integer("n_heads"), d_head = network_.integer("d_head");
    const int64_t d_model = network_.integer("d_model"), n_ctx = network_.n_ctx();
    add_norm(block + "ln1");
    for (const char* name : {"attn.W_Q", "attn.W_K", "attn.W_V", "attn.W_O"}) copy(block + name);
    for (const char* name : {"attn.b_Q", "attn.b_K", "attn.b_V"})
      add(block + name, network_.weight_or_zeros(block + name, {heads, d_head}));
    add(block + "attn.b_O", network_.weight_or_zeros(block + "attn.b_O", {d_model}));
    add(block + "attn.mask", torch::ones({n_ctx, n_ctx}, torch::kBool).tril());
    add(block + "attn.IGNORE", torch::tensor(-std::numeric_limits<float>::infinity()));
    if (network_.text("positional_embedding_type") == "rotary") add_rotary(block, n_ctx);
    if (!network_.get<bool>("attn_only")) add_mlp(block);
  }

  // Sines and cosines [n_ctx, rotary_dim] of the angles by which positions turn each entry of q and k, taken
  // in float32 as HookedTransformer takes them.
  void add_rotary(const std::string& block, int64_t n_ctx) {
    const int64_t given = network_.integer("rotary_dim");
    const int64_t pairs = (given > 0 ? given : network_.integer("d_head")) / 2;
    const Tensor exponents = torch::arange(pairs, torch::kFloat) / static_cast<double>(pairs);
    const Tensor periods = torch::pow(network_.get<double>("rotary_base"), exponents);
    const bool adjacent = network_.get<bool>("rotary_adjacent_pairs");
    const Tensor angles = torch::arange(n_ctx, torch::kFloat).unsqueeze(1) /
                          (adjacent ? periods.repeat_interleave(2) : periods.repeat({2}));
    add(block + "attn.rotary_sin", angles.sin());
    add(block + "attn.rotary_cos", angles.cos());
  }

  void add_mlp(const std::string& block) {
    add_norm(block + "ln2");
    copy(block + "mlp.W_in");
    const Tensor b_in = network_.weight_or_zeros(block + "mlp.b_in", {network_.integer("d_mlp")});
    if (network_.get<bool>("gated_mlp")) {
      // It adds b_in behind the product with the gate.
      if (b_in.ne(0).any().item<bool>())
        network_.refuse("HookedTransformer adds b_in of a gated MLP behind the gate, this network before it");
      copy(block + "mlp.W_gate");
    }
    add(block + "mlp.b_in", b_in);
    copy(block + "mlp.W_out");
    add(block + "mlp.b_out", network_.weight_or_zeros(block + "mlp.b_out", {network_.integer("d_model")}));
  }

  const Network& network_;
  NamedTensors weights_;
};

class NanoGpt {
 public:
  explicit NanoGpt(const Network& network) : network_(network) {
    if (network.get<bool>("gated_mlp")) network.refuse("nanoGPT has no name for the gate of an MLP");
    if (!network.has("pos_embed.W_pos")) network.refuse("nanoGPT has learned positions, this network none");
  }

  NamedTensors weights() {
    add("transformer.wte.weight", network_.weight("embed.W_E"));
    add("transformer.wpe.weight", network_.weight("pos_embed.W_pos"));
    for (int64_t layer = 0; layer < network_.integer("n_layers"); ++layer)
      add_block(fmt::format("blocks.{}.", layer), fmt::format("transformer.h.{}.", layer));
    add_norm("ln_final", "transformer.ln_f");
    add("lm_head.weight", network_.unembedding().t());
    // nanoGPT's head has no bias.
    if (network_.has("unembed.b_U") && network_.weight("unembed.b_U").ne(0).any().item<bool>())
      add("lm_head.bias", network_.weight("unembed.b_U"));
    return std::move(weights_);
  }

 private:
  void add(const std::string& name, const Tensor& value) { weights_.emplace_back(name, value.contiguous()); }
  void add_norm(const std::string& ours, const std::string& theirs) {
    if (network_.has(ours + ".w")) add(theirs + ".weight", network_.weight(ours + ".w"));
    if (network_.has(ours + ".b")) add(theirs + ".bias", network_.weight(ours + ".b"));
  }
  void add_block(const std::string& ours, const std::string& theirs) {
    add_norm(ours + "ln1", theirs + "ln_1");
    const int64_t width = network_.integer("n_heads") * network_.integer("d_head");
    const int64_t d_model = network_.integer("d_model");
    std::vector<Tensor> rows, biases;
    for (const char* letter : {"Q", "K", "V"}) {
      rows.push_back(network_.weight(ours + "attn.W_" + letter).transpose(1, 2).reshape({width, d_model}));
      if (network_.has(ours + "attn.b_" + letter))
        biases.push_back(network_.weight(ours + "attn.b_" + letter).flatten());
    }
    add(theirs + "attn.c_attn.weight", torch::cat(rows));
    if (!biases.empty()) add(theirs + "attn.c_attn.bias", torch::cat(biases));
    add(theirs + "attn.c_proj.weight", network_.weight(ours + "attn.W_O").reshape({width, d_model}).t());
    if (network_.has(ours + "attn.b_O")) add(theirs + "attn.c_proj.bias", network_.weight(ours + "attn.b_O"));
    if (network_.get<bool>("attn_only")) return;
    add_norm(ours + "ln2", theirs + "ln_2");
    for (const auto& [our, their] : {std::pair("in", "c_fc"), std::pair("out", "c_proj")}) {
      add(fmt::format("{}mlp.{}.weight", theirs, their),
          network_.weight(fmt::format("{}mlp.W_{}", ours, our)).t());
      const std::string bias = fmt::format("{}mlp.b_{}", ours, our);
      if (network_.has(bias)) add(fmt::format("{}mlp.{}.bias", theirs, their), network_.weight(bias));
    }
  }

  const Network& network_;
  NamedTensors weights_;
};

}  // namespace

NamedTensors transformer_lens_weights(const NamedTensors& weights, const PluginChoice& model, int64_t n_ctx,
                                      const std::string& where) {
  const Network network(weights, model, n_ctx, where);
  return TransformerLens(network).weights();
}

nlohmann::ordered_json transformer_lens_config(const NamedTensors& weights, const PluginChoice& model,
                                               int64_t n_ctx) {
  const std::string where = "its config";
  const Network network(weights, model, n_ctx, where);
  const bool attn_only = network.get<bool>("attn_only"),
             rotary = network.text("positional_embedding_type") == "rotary";
  const double scale = network.get<double>("attn_scale");
  using Json = nlohmann::ordered_json;
  Json config = {
      {"n_layers", network.integer("n_layers")},
      {"d_model", network.integer("d_model")},
      {"n_ctx", network.n_ctx()},
      {"d_head", network.integer("d_head")},
      {"n_heads", network.integer("n_heads")},
      {"d_mlp", attn_only ? Json() : Json(network.integer("d_mlp"))},
      {"d_vocab", network.d_vocab()},
      {"d_vocab_out", network.unembedding().size(1)},
      {"act_fn", attn_only ? Json() : Json(network.text("act_fn"))},
      {"attn_only", attn_only},
      {"gated_mlp", network.get<bool>("gated_mlp")},
      {"attention_dir", network.text("attention_dir")},
      {"use_attn_scale", true},
      {"attn_scale", scale > 0 ? scale : std::sqrt(static_cast<double>(network.integer("d_head")))},
      {"positional_embedding_type", network.text("positional_embedding_type")},
      {"normalization_type",
       network.text("normalization_type") == "none" ? Json() : Json(network.text("normalization_type"))},
      {"eps", network.get<double>("normalization_eps")},
      {"init_weights", false}};
  if (rotary) {
    const int64_t dim = network.integer("rotary_dim");
    config["rotary_dim"] = dim > 0 ? dim : network.integer("d_head");
    config["rotary_base"] = network.get<double>("rotary_base");
    config["rotary_adjacent_pairs"] = network.get<bool>("rotary_adjacent_pairs");
  }
  return config;
}

NamedTensors nanogpt_weights(const NamedTensors& weights, const PluginChoice& model,
                             const std::string& where) {
  const Network network(weights, model, 0, where);
  return NanoGpt(network).weights();
}

std::vector<std::string> other_than_nanogpt(const PluginChoice& model) {
  const Values expected = {{"attention_dir", std::string("causal")},
                           {"attn_coeff", 1.0},
                           {"attn_scale", 0.0},
                           {"attn_only", false},
                           {"act_fn", std::string("gelu")},
                           {"normalization_type", std::string("LN")},
                           {"normalization_place", std::string("pre")},
                           {"normalization_eps", 1e-5},
                           {"final_norm", true}};
  std::vector<std::string> others;
  for (const auto& [name, value] : expected)
    if (const Value& has = model.parameters.at(name); has != value)
      others.push_back(fmt::format("{} is {}", name, orrery::to_string(has)));
  const auto integer = [&](const char* name) { return std::get<int64_t>(model.parameters.at(name)); };
  if (integer("n_heads") * integer("d_head") != integer("d_model"))
    others.push_back("n_heads x d_head is not d_model");
  return others;
}

}  // namespace orrery::engine
