#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

#include <cmath>
#include <limits>

#include "sdk/model/room.h"
#include "sdk/model/transformer_weights.h"

namespace orrery {

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

torch::Tensor normalise(const torch::Tensor& x, const Norm& norm) {
  using Type = TransformerConfig::Normalization;
  if (norm.type == Type::none) return x;
  if (norm.type == Type::LN || norm.type == Type::LNPre)
    return torch::layer_norm(x, {x.size(-1)}, norm.w, norm.b, norm.eps);
  const torch::Tensor scaled = x * (x.square().mean(-1, /*keepdim=*/true) + norm.eps).rsqrt();
  return norm.w.defined() ? scaled * norm.w : scaled;
}

// "gelu" is the exact one, by erf, and "gelu_new" the approximation by tanh, as in TransformerLens.
torch::Tensor activate(const torch::Tensor& pre, TransformerConfig::ActFn act_fn) {
  using ActFn = TransformerConfig::ActFn;
  switch (act_fn) {
    case ActFn::relu:
      return torch::relu(pre);
    case ActFn::gelu:
      return torch::gelu(pre);
    case ActFn::gelu_new:
      return torch::gelu(pre, "tanh");
    case ActFn::silu:
      return torch::silu(pre);
    case ActFn::tanh:
      return torch::tanh(pre);
  }
  throw Error("no such activation function");
}

torch::Tensor unembed(const torch::Tensor& resid, const TransformerWeights& weights) {
  using Unembedding = TransformerConfig::Unembedding;
  const torch::Tensor x = normalise(resid, weights.ln_final);
  switch (weights.config.unembedding) {
    case Unembedding::own:
      return plus(torch::matmul(x, weights.W_U), weights.b_U);
    case Unembedding::tied:
      return plus(torch::matmul(x, weights.W_E.narrow(0, 0, weights.d_vocab_out).t()), weights.b_U);
    case Unembedding::identity:
      return x;
  }
  throw Error("no such unembedding");
}

namespace {

torch::Tensor normal(std::vector<int64_t> shape, int64_t fan, torch::Generator rng) {
  refuse_without_room(shape, "a weight");
  return torch::randn(shape, rng) / std::sqrt(static_cast<double>(fan));
}

// Rotary positions (Su et al. 2021, arXiv 2104.09864), paired as in TransformerLens.
class RotaryPositions {
 public:
  RotaryPositions() = default;
  RotaryPositions(const TransformerConfig& config, int64_t n_ctx);
  /// x [batch, n, n_heads, d_head], each pair of entries turned by an angle proportional to the position.
  torch::Tensor turn(const torch::Tensor& x) const;

 private:
  torch::Tensor partners(const torch::Tensor& x) const;

  bool adjacent_ = false;
  torch::Tensor cosine_, sine_;  // [n_ctx, 1, rotary_dim]
};

RotaryPositions::RotaryPositions(const TransformerConfig& config, int64_t n_ctx)
    : adjacent_(config.rotary_adjacent_pairs) {
  const int64_t dim = config.rotary_dim > 0 ? config.rotary_dim : config.d_head;
  refuse_without_room({n_ctx, dim}, "the table of rotary positions");
  const torch::Tensor pair = torch::arange(dim / 2, torch::kFloat64);
  const torch::Tensor speed =
      torch::exp(pair * (-2 * std::log(config.rotary_base) / static_cast<double>(dim)));
  const torch::Tensor angle = torch::outer(torch::arange(n_ctx, torch::kFloat64), speed);
  const torch::Tensor angles = adjacent_ ? angle.repeat_interleave(2, 1) : angle.repeat({1, 2});
  cosine_ = angles.cos().to(torch::kFloat32).unsqueeze(1);
  sine_ = angles.sin().to(torch::kFloat32).unsqueeze(1);
}

// x turned by a quarter: of the pair (a, b), -b in the place of a, and a in that of b.
torch::Tensor RotaryPositions::partners(const torch::Tensor& x) const {
  const int64_t half = x.size(-1) / 2;
  if (!adjacent_) return torch::cat({-x.narrow(-1, half, half), x.narrow(-1, 0, half)}, -1);
  std::vector<int64_t> paired = x.sizes().vec();
  paired.back() = half;
  paired.push_back(2);
  const torch::Tensor pairs = x.reshape(paired);
  return torch::stack({-pairs.select(-1, 1), pairs.select(-1, 0)}, -1).reshape(x.sizes());
}

torch::Tensor RotaryPositions::turn(const torch::Tensor& x) const {
  const int64_t n = x.size(1), dim = cosine_.size(-1), rest = x.size(-1) - dim;
  const torch::Tensor some = x.narrow(-1, 0, dim);
  const auto at_positions = [&](const torch::Tensor& table) { return table.narrow(0, 0, n).to(x.options()); };
  const torch::Tensor turned = some * at_positions(cosine_) + partners(some) * at_positions(sine_);
  return rest == 0 ? turned : torch::cat({turned, x.narrow(-1, dim, rest)}, -1);
}

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
    HookPoint &resid_pre, &q, &k, &v;
    HookPoint *rot_q, *rot_k;  // null unless rotary
    HookPoint &attn_scores, &pattern, &z, &attn_out, &resid_mid;
    HookPoint *pre, *pre_linear, *post, *mlp_out;  // null where attn_only; pre_linear unless gated_mlp
    HookPoint& resid_post;
  };
  // Which keys a query may not attend to; bool, undefined where there are none.
  struct Masked {
    torch::Tensor keys;     // [n_ctx (query), n_ctx (key)], or [batch, 1, n_ctx or 1, n_ctx]
    torch::Tensor queries;  // [batch, 1, n_ctx or 1, 1]: those without any key
  };

  void add_block(int64_t layer, torch::Generator rng);
  void add_biases(const std::string& block, BlockWeights& w);
  torch::Tensor add_zeros(const std::string& name, std::vector<int64_t> shape) {
    return add_weight(name, torch::zeros(shape));
  }
  // By d_model even where that is not the fan-in (W_O, W_out), as in Nanda et al. 2023.
  torch::Tensor add_drawn(const std::string& name, std::vector<int64_t> shape, torch::Generator rng) {
    return add_weight(name, normal(std::move(shape), weights_.config.d_model, rng));
  }
  Norm add_norm(const std::string& name);
  void add_mlp(const std::string& block, BlockWeights& w, torch::Generator rng);
  BlockHooks add_block_hooks(const std::string& block);
  Masked masked_in(const torch::Tensor& tokens) const;
  torch::Tensor attention(const torch::Tensor& x, const BlockWeights& w, const BlockHooks& hook,
                          const Masked& masked) const;
  torch::Tensor pattern_of(const torch::Tensor& scores, const Masked& masked) const;
  torch::Tensor mlp(const torch::Tensor& x, const BlockWeights& w, const BlockHooks& hook) const;

  TransformerWeights weights_;
  RotaryPositions rotary_;
  HookPoint *hook_embed_, *hook_pos_embed_ = nullptr;  // the latter null without W_pos
  std::vector<BlockHooks> hooks_;
};

Transformer::Transformer(const TransformerConfig& config, const TaskSpec& spec, torch::Generator rng)
    : hook_embed_(&add_hook_point("hook_embed")) {
  using Position = TransformerConfig::PositionalEmbedding;
  using Unembedding = TransformerConfig::Unembedding;
  check_config(config, spec);
  set_transformer_config(config);
  weights_.config = config;
  weights_.d_vocab_out = spec.d_vocab_out;
  weights_.pad_token = spec.pad_token;
  const int64_t d_model = config.d_model, n_ctx = config.n_ctx > 0 ? config.n_ctx : spec.n_ctx;
  weights_.W_E = add_weight("embed.W_E", normal({spec.d_vocab, d_model}, d_model, rng));
  if (config.positional_embedding_type == Position::standard) {
    hook_pos_embed_ = &add_hook_point("hook_pos_embed");
    weights_.W_pos = add_weight("pos_embed.W_pos", normal({n_ctx, d_model}, d_model, rng));
  }
  if (config.positional_embedding_type == Position::rotary) rotary_ = RotaryPositions(config, n_ctx);
  for (int64_t layer = 0; layer < config.n_layers; ++layer) add_block(layer, rng);
  if (config.final_norm) weights_.ln_final = add_norm("ln_final");
  if (config.unembedding == Unembedding::own)
    weights_.W_U = add_weight("unembed.W_U", normal({d_model, spec.d_vocab_out}, spec.d_vocab, rng));
  if (config.biases == TransformerConfig::Biases::all && config.unembedding != Unembedding::identity)
    weights_.b_U = add_zeros("unembed.b_U", {spec.d_vocab_out});
}

Norm Transformer::add_norm(const std::string& name) {
  using Type = TransformerConfig::Normalization;
  const TransformerConfig& c = weights_.config;
  Norm norm{c.normalization_type, c.normalization_eps, {}, {}};
  if (norm.type == Type::LN || norm.type == Type::RMS)
    norm.w = add_weight(name + ".w", torch::ones({c.d_model}));
  if (norm.type == Type::LN) norm.b = add_zeros(name + ".b", {c.d_model});
  return norm;
}

void Transformer::add_block(int64_t layer, torch::Generator rng) {
  const TransformerConfig& c = weights_.config;
  const std::string block = fmt::format("blocks.{}.", layer);
  const auto add = [&](const char* name, std::vector<int64_t> shape) {
    return add_drawn(block + name, std::move(shape), rng);
  };
  BlockWeights w;
  w.ln1 = add_norm(block + "ln1");
  w.W_Q = add("attn.W_Q", {c.n_heads, c.d_model, c.d_head});
  w.W_K = add("attn.W_K", {c.n_heads, c.d_model, c.d_head});
  w.W_V = add("attn.W_V", {c.n_heads, c.d_model, c.d_head});
  w.W_O = add("attn.W_O", {c.n_heads, c.d_head, c.d_model});
  if (!c.attn_only) add_mlp(block, w, rng);
  if (c.biases == TransformerConfig::Biases::all) add_biases(block, w);
  weights_.blocks.push_back(w);
  hooks_.push_back(add_block_hooks(block));
}

void Transformer::add_mlp(const std::string& block, BlockWeights& w, torch::Generator rng) {
  const TransformerConfig& c = weights_.config;
  const bool biases = c.biases != TransformerConfig::Biases::none;
  w.ln2 = add_norm(block + "ln2");
  if (c.gated_mlp) w.W_gate = add_drawn(block + "mlp.W_gate", {c.d_model, c.d_mlp}, rng);
  w.W_in = add_drawn(block + "mlp.W_in", {c.d_model, c.d_mlp}, rng);
  if (biases) w.b_in = add_zeros(block + "mlp.b_in", {c.d_mlp});
  w.W_out = add_drawn(block + "mlp.W_out", {c.d_mlp, c.d_model}, rng);
  if (biases) w.b_out = add_zeros(block + "mlp.b_out", {c.d_model});
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
  using Position = TransformerConfig::PositionalEmbedding;
  const bool has_mlp = !weights_.config.attn_only, gated = weights_.config.gated_mlp;
  const bool rotary = weights_.config.positional_embedding_type == Position::rotary;
  // Braced initialisers are evaluated in order, so hook points come in the order of the forward pass.
  return BlockHooks{add("hook_resid_pre"),
                    add("attn.hook_q"),
                    add("attn.hook_k"),
                    add("attn.hook_v"),
                    rotary ? &add("attn.hook_rot_q") : nullptr,
                    rotary ? &add("attn.hook_rot_k") : nullptr,
                    add("attn.hook_attn_scores", 2),
                    add("attn.hook_pattern", 2),
                    add("attn.hook_z"),
                    add("hook_attn_out"),
                    add("hook_resid_mid"),
                    has_mlp ? &add("mlp.hook_pre") : nullptr,
                    gated ? &add("mlp.hook_pre_linear") : nullptr,
                    has_mlp ? &add("mlp.hook_post") : nullptr,
                    has_mlp ? &add("hook_mlp_out") : nullptr,
                    add("hook_resid_post")};
}

torch::Tensor Transformer::forward(const torch::Tensor& tokens) {
  const bool post = weights_.config.normalization_place == TransformerConfig::NormalizationPlace::post;
  const auto before = [&](const torch::Tensor& x, const Norm& norm) { return post ? x : normalise(x, norm); };
  const auto behind = [&](const torch::Tensor& x, const Norm& norm) { return post ? normalise(x, norm) : x; };
  torch::Tensor resid = (*hook_embed_)(torch::embedding(weights_.W_E, tokens));
  if (hook_pos_embed_)
    resid =
        resid + (*hook_pos_embed_)(weights_.W_pos.narrow(0, 0, tokens.size(1)).unsqueeze(0).expand_as(resid));
  const Masked masked = masked_in(tokens);
  for (size_t layer = 0; layer < weights_.blocks.size(); ++layer) {
    const BlockWeights& w = weights_.blocks[layer];
    const BlockHooks& hook = hooks_[layer];
    resid = hook.resid_pre(resid);
    resid = hook.resid_mid(behind(resid + attention(before(resid, w.ln1), w, hook, masked), w.ln1));
    if (w.W_in.defined()) resid = behind(resid + mlp(before(resid, w.ln2), w, hook), w.ln2);
    resid = hook.resid_post(resid);
  }
  return unembed(resid, weights_);
}

// tokens: [batch, n_ctx].
Transformer::Masked Transformer::masked_in(const torch::Tensor& tokens) const {
  const int64_t n = tokens.size(1);
  Masked masked;
  if (weights_.config.attention_dir == TransformerConfig::AttentionDir::causal)
    masked.keys = torch::ones({n, n}, tokens.options().dtype(torch::kBool)).triu(1);
  if (weights_.pad_token < 0) return masked;
  const torch::Tensor padding = (tokens == weights_.pad_token).unsqueeze(1).unsqueeze(1);
  masked.keys = masked.keys.defined() ? torch::logical_or(masked.keys, padding) : padding;
  masked.queries = masked.keys.all(-1, /*keepdim=*/true);
  return masked;
}

// x: the residual stream, normalised, [batch, pos, d_model] -> what the heads add to the stream.
torch::Tensor Transformer::attention(const torch::Tensor& x, const BlockWeights& w, const BlockHooks& hook,
                                     const Masked& masked) const {
  const double scale = weights_.config.attn_scale;
  torch::Tensor q = hook.q(plus(project_heads(x, w.W_Q), w.b_Q));
  torch::Tensor k = hook.k(plus(project_heads(x, w.W_K), w.b_K));
  const torch::Tensor v = hook.v(plus(project_heads(x, w.W_V), w.b_V));
  if (hook.rot_q) {
    q = (*hook.rot_q)(rotary_.turn(q));
    k = (*hook.rot_k)(rotary_.turn(k));
  }
  torch::Tensor scores =
      torch::matmul(q.transpose(1, 2), k.permute({0, 2, 3, 1}));  // [batch, head, query, key]
  scores = scores / (scale > 0 ? scale : std::sqrt(static_cast<double>(w.W_Q.size(2))));
  // Masked before the hook, as in TransformerLens, so that a cache holds the scores that softmax is given.
  if (masked.keys.defined())
    scores = scores.masked_fill(masked.keys, -std::numeric_limits<double>::infinity());
  const torch::Tensor pattern = hook.pattern(pattern_of(hook.attn_scores(scores), masked));
  const torch::Tensor z = hook.z(torch::matmul(pattern, v.transpose(1, 2)).transpose(1, 2));
  return hook.attn_out(plus(join_heads(z, w.W_O), w.b_O));
}

// What multiplies v: [batch, head, query, key].
torch::Tensor Transformer::pattern_of(const torch::Tensor& scores, const Masked& masked) const {
  const double coeff = weights_.config.attn_coeff;
  // The softmax of minus infinities is NaN, as is its gradient: such queries are given other scores.
  torch::Tensor pattern =
      torch::softmax(masked.queries.defined() ? scores.masked_fill(masked.queries, 0) : scores, -1);
  if (coeff != 1) {
    pattern = pattern * coeff + (1 - coeff);
    if (masked.keys.defined()) pattern = pattern.masked_fill(masked.keys, 0);
  }
  return masked.queries.defined() ? pattern.masked_fill(masked.queries, 0) : pattern;
}

// x: the residual stream, normalised, [batch, pos, d_model] -> what the neurons add to the stream.
torch::Tensor Transformer::mlp(const torch::Tensor& x, const BlockWeights& w, const BlockHooks& hook) const {
  const auto act_fn = weights_.config.act_fn;
  const auto into_neurons = [&] { return plus(torch::matmul(x, w.W_in), w.b_in); };
  const torch::Tensor pre = (*hook.pre)(hook.pre_linear ? torch::matmul(x, w.W_gate) : into_neurons());
  torch::Tensor post = activate(pre, act_fn);
  if (hook.pre_linear) post = post * (*hook.pre_linear)(into_neurons());
  post = (*hook.post)(post);
  return (*hook.mlp_out)(plus(torch::matmul(post, w.W_out), w.b_out));
}

}  // namespace

std::unique_ptr<Model> make_transformer(const TransformerConfig& config, const TaskSpec& spec,
                                        torch::Generator rng) {
  return std::make_unique<Transformer>(config, spec, rng);
}

}  // namespace orrery
