#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

#include <cmath>

#include "sdk/model/room.h"
#include "sdk/model/transformer_weights.h"

namespace orrery {

void TransformerConfig::fields(Fields<TransformerConfig>& f) {
  using C = TransformerConfig;
  f.add("n_layers", &C::n_layers, "number of blocks").between(1, 1000);
  f.add("d_model", &C::d_model, "width of the residual stream").at_least(1);
  f.add("n_heads", &C::n_heads, "attention heads per block").at_least(1);
  f.add("d_head", &C::d_head, "width of one head").at_least(1);
  f.add("d_mlp", &C::d_mlp, "neurons per block").at_least(1);
  f.add("attn_only", &C::attn_only, "leave out the MLPs");
  f.add("act_fn", &C::act_fn, "activation function of the MLPs");
  f.add("normalization_type", &C::normalization_type, "LayerNorm; LNPre has no weights of its own");
  f.add("biases", &C::biases, "which parts have biases; \"all\" adds attention and unembedding");
}

torch::Tensor project_heads(const torch::Tensor& x, const torch::Tensor& W) {
  const int64_t n_heads = W.size(0), d_model = W.size(1), d_head = W.size(2);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = n_heads;
  shape.push_back(d_head);
  const torch::Tensor flat = W.transpose(0, 1).reshape({d_model, n_heads * d_head});
  return x.reshape({-1, d_model}).mm(flat).view(shape);
}

torch::Tensor join_heads(const torch::Tensor& z, const torch::Tensor& W_O) {
  std::vector<int64_t> shape = z.sizes().vec();
  shape.pop_back();
  shape.back() = W_O.size(2);
  const int64_t joined = W_O.size(0) * W_O.size(1);
  return z.reshape({-1, joined}).mm(W_O.reshape({joined, W_O.size(2)})).view(shape);
}

torch::Tensor normalise(const torch::Tensor& x, const LayerNorm& norm) {
  if (!norm.on) return x;
  return torch::layer_norm(x, {x.size(-1)}, norm.w, norm.b, /*eps=*/1e-5);
}

// The exact gelu, by erf: what TransformerLens calls "gelu" (its "gelu_new" is the approximation by tanh).
torch::Tensor activate(const torch::Tensor& pre, TransformerConfig::ActFn act_fn) {
  return act_fn == TransformerConfig::ActFn::gelu ? torch::gelu(pre) : torch::relu(pre);
}

namespace {

class Transformer final : public Model {
 public:
  Transformer(const TransformerConfig& config, const TaskSpec& spec, torch::Generator rng);
  torch::Tensor forward(const torch::Tensor& tokens) override;
  std::unique_ptr<ReadOutPass> fast_read_out(const ReadOutRequest& request) override {
    return make_read_out(weights_, request);
  }
  bool fast_read_out_keeps(const std::vector<std::string>& hook_points) const override {
    return read_out_keeps(weights_, hook_points);
  }

 private:
  struct BlockHooks {
    HookPoint &resid_pre, &q, &k, &v, &attn_scores, &pattern, &z, &attn_out, &resid_mid;
    HookPoint *pre, *post, *mlp_out;  // null where attn_only
    HookPoint& resid_post;
  };

  void add_block(int64_t layer, torch::Generator rng);
  void add_biases(const std::string& block, BlockWeights& w);
  torch::Tensor add_zeros(const std::string& name, std::vector<int64_t> shape) {
    return add_weight(name, torch::zeros(shape));
  }
  LayerNorm add_norm(const std::string& name);
  BlockHooks add_block_hooks(const std::string& block);
  torch::Tensor attention(const torch::Tensor& x, const BlockWeights& w, const BlockHooks& hook) const;
  torch::Tensor mlp(const torch::Tensor& x, const BlockWeights& w, const BlockHooks& hook) const;

  TransformerWeights weights_;
  HookPoint &hook_embed_, &hook_pos_embed_;
  std::vector<BlockHooks> hooks_;
};

torch::Tensor normal(std::vector<int64_t> shape, int64_t fan, torch::Generator rng) {
  refuse_without_room(shape, "a weight");
  return torch::randn(shape, rng) / std::sqrt(static_cast<double>(fan));
}

Transformer::Transformer(const TransformerConfig& config, const TaskSpec& spec, torch::Generator rng)
    : hook_embed_(add_hook_point("hook_embed")), hook_pos_embed_(add_hook_point("hook_pos_embed")) {
  weights_.config = config;
  const int64_t d_model = config.d_model;
  weights_.W_E = add_weight("embed.W_E", normal({spec.d_vocab, d_model}, d_model, rng));
  weights_.W_pos = add_weight("pos_embed.W_pos", normal({spec.n_ctx, d_model}, d_model, rng));
  for (int64_t layer = 0; layer < config.n_layers; ++layer) add_block(layer, rng);
  weights_.ln_final = add_norm("ln_final");
  weights_.W_U = add_weight("unembed.W_U", normal({d_model, spec.d_vocab_out}, spec.d_vocab, rng));
  if (config.biases == TransformerConfig::Biases::all)
    weights_.b_U = add_zeros("unembed.b_U", {spec.d_vocab_out});
}

LayerNorm Transformer::add_norm(const std::string& name) {
  using Type = TransformerConfig::Normalization;
  const Type type = weights_.config.normalization_type;
  if (type != Type::LN) return {type == Type::LNPre, {}, {}};
  const int64_t d_model = weights_.config.d_model;
  return {true, add_weight(name + ".w", torch::ones({d_model})), add_zeros(name + ".b", {d_model})};
}

void Transformer::add_block(int64_t layer, torch::Generator rng) {
  using Biases = TransformerConfig::Biases;
  const TransformerConfig& c = weights_.config;
  const std::string block = fmt::format("blocks.{}.", layer);
  // By d_model even where that is not the fan-in (W_O, W_out), as in Nanda et al. 2023.
  const auto add = [&](const char* name, std::vector<int64_t> shape) {
    return add_weight(block + name, normal(std::move(shape), c.d_model, rng));
  };
  BlockWeights w;
  w.ln1 = add_norm(block + "ln1");
  w.W_Q = add("attn.W_Q", {c.n_heads, c.d_model, c.d_head});
  w.W_K = add("attn.W_K", {c.n_heads, c.d_model, c.d_head});
  w.W_V = add("attn.W_V", {c.n_heads, c.d_model, c.d_head});
  w.W_O = add("attn.W_O", {c.n_heads, c.d_head, c.d_model});
  if (!c.attn_only) {
    w.ln2 = add_norm(block + "ln2");
    w.W_in = add("mlp.W_in", {c.d_model, c.d_mlp});
    if (c.biases != Biases::none) w.b_in = add_zeros(block + "mlp.b_in", {c.d_mlp});
    w.W_out = add("mlp.W_out", {c.d_mlp, c.d_model});
    if (c.biases != Biases::none) w.b_out = add_zeros(block + "mlp.b_out", {c.d_model});
  }
  if (c.biases == Biases::all) add_biases(block, w);
  weights_.blocks.push_back(w);
  hooks_.push_back(add_block_hooks(block));
}

void Transformer::add_biases(const std::string& block, BlockWeights& w) {
  const TransformerConfig& c = weights_.config;
  w.b_Q = add_zeros(block + "attn.b_Q", {c.n_heads, c.d_head});
  w.b_K = add_zeros(block + "attn.b_K", {c.n_heads, c.d_head});
  w.b_V = add_zeros(block + "attn.b_V", {c.n_heads, c.d_head});
  w.b_O = add_zeros(block + "attn.b_O", {c.d_model});
}

Transformer::BlockHooks Transformer::add_block_hooks(const std::string& block) {
  const auto add = [&](const char* name, int64_t position_dim = 1) -> HookPoint& {
    return add_hook_point(block + name, position_dim);
  };
  const bool has_mlp = !weights_.config.attn_only;
  // Braced initialisers are evaluated in order, so hook points come in the order of the forward pass.
  return BlockHooks{add("hook_resid_pre"),
                    add("attn.hook_q"),
                    add("attn.hook_k"),
                    add("attn.hook_v"),
                    add("attn.hook_attn_scores", 2),
                    add("attn.hook_pattern", 2),
                    add("attn.hook_z"),
                    add("hook_attn_out"),
                    add("hook_resid_mid"),
                    has_mlp ? &add("mlp.hook_pre") : nullptr,
                    has_mlp ? &add("mlp.hook_post") : nullptr,
                    has_mlp ? &add("hook_mlp_out") : nullptr,
                    add("hook_resid_post")};
}

torch::Tensor Transformer::forward(const torch::Tensor& tokens) {
  const torch::Tensor embed = hook_embed_(torch::embedding(weights_.W_E, tokens));
  const torch::Tensor pos_embed =
      hook_pos_embed_(weights_.W_pos.narrow(0, 0, tokens.size(1)).unsqueeze(0).expand_as(embed));
  torch::Tensor resid = embed + pos_embed;
  for (size_t layer = 0; layer < weights_.blocks.size(); ++layer) {
    const BlockWeights& w = weights_.blocks[layer];
    const BlockHooks& hook = hooks_[layer];
    resid = hook.resid_pre(resid);
    resid = hook.resid_mid(resid + attention(normalise(resid, w.ln1), w, hook));
    if (w.W_in.defined()) resid = resid + mlp(normalise(resid, w.ln2), w, hook);
    resid = hook.resid_post(resid);
  }
  return plus(torch::matmul(normalise(resid, weights_.ln_final), weights_.W_U), weights_.b_U);
}

// x: the residual stream, normalised, [batch, pos, d_model] -> what the heads add to the stream.
torch::Tensor Transformer::attention(const torch::Tensor& x, const BlockWeights& w,
                                     const BlockHooks& hook) const {
  const int64_t n = x.size(1);
  const torch::Tensor q = hook.q(plus(project_heads(x, w.W_Q), w.b_Q));
  const torch::Tensor k = hook.k(plus(project_heads(x, w.W_K), w.b_K));
  const torch::Tensor v = hook.v(plus(project_heads(x, w.W_V), w.b_V));
  torch::Tensor scores =
      torch::matmul(q.transpose(1, 2), k.permute({0, 2, 3, 1}));  // [batch, head, query, key]
  scores = scores / std::sqrt(static_cast<double>(w.W_Q.size(2)));
  // Masked before the hook, as in TransformerLens, so that a cache holds the scores that softmax is given.
  const torch::Tensor future = torch::ones({n, n}, scores.options().dtype(torch::kBool)).triu(1);
  scores = hook.attn_scores(scores.masked_fill(future, -std::numeric_limits<double>::infinity()));
  const torch::Tensor pattern = hook.pattern(torch::softmax(scores, -1));
  const torch::Tensor z = hook.z(torch::matmul(pattern, v.transpose(1, 2)).transpose(1, 2));
  return hook.attn_out(plus(join_heads(z, w.W_O), w.b_O));
}

// x: the residual stream, normalised, [batch, pos, d_model] -> what the neurons add to the stream.
torch::Tensor Transformer::mlp(const torch::Tensor& x, const BlockWeights& w, const BlockHooks& hook) const {
  const torch::Tensor pre = (*hook.pre)(plus(torch::matmul(x, w.W_in), w.b_in));
  const torch::Tensor post = (*hook.post)(activate(pre, weights_.config.act_fn));
  return (*hook.mlp_out)(plus(torch::matmul(post, w.W_out), w.b_out));
}

}  // namespace

std::unique_ptr<Model> make_transformer(const TransformerConfig& config, const TaskSpec& spec,
                                        torch::Generator rng) {
  return std::make_unique<Transformer>(config, spec, rng);
}

}  // namespace orrery
