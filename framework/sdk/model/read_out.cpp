// The read-out forward pass of the transformer. Two exact facts make it fast. In the last layer only the
// output positions matter, apart from keys and values. And before the first attention layer everything is a
// function of (token, position): a vocabulary of a hundred has a few hundred distinct rows, however many
// examples there are, so embeddings, queries, keys, values and even attention scores come out of small
// tables.
#include <ATen/Functions.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "sdk/kernels/attention.h"
#include "sdk/kernels/positions.h"
#include "sdk/model/attention_only_read_out.h"
#include "sdk/model/distinct_inputs.h"
#include "sdk/model/folded_read_out.h"
#include "sdk/model/transformer_weights.h"

namespace orrery {

DistinctInputs find_distinct(const torch::Tensor& tokens) {
  const int64_t n_ctx = tokens.size(1);
  const torch::Tensor position = torch::arange(n_ctx, tokens.options());
  const auto [key, index] = at::_unique(tokens * n_ctx + position, /*sorted=*/true, /*return_inverse=*/true);
  return {key.div(n_ctx, "floor"), key.remainder(n_ctx), index};
}

namespace {

// A residual stream: rows of a table while it depends only on (token, position), dense afterwards.
struct Stream {
  torch::Tensor rows;   // [n_distinct, d_model], or [batch, n_ctx, d_model]
  torch::Tensor index;  // [batch, n_ctx] into rows; undefined where dense

  // f(rows), laid out as [batch, n_ctx, ...]. f must act on each row alone.
  torch::Tensor spread(const torch::Tensor& values) const {
    if (!index.defined()) return values;
    std::vector<int64_t> shape = index.sizes().vec();
    shape.insert(shape.end(), values.sizes().begin() + 1, values.sizes().end());
    return torch::embedding(values.reshape({values.size(0), -1}), index).view(shape);
  }

  // The stream at `positions` only.
  Stream at(const torch::Tensor& positions) const {
    if (!index.defined()) return {rows.index_select(1, positions), {}};
    return {rows, index.index_select(1, positions)};
  }
};

// The rows of a table that are used as queries, and the (query, key) pair of each attention score.
struct ScorePairs {
  torch::Tensor query_rows;  // [n_query_rows] into the table
  torch::Tensor index;       // [batch, n_read, n_ctx] into [n_query_rows * n_distinct]
};

ScorePairs find_pairs(const torch::Tensor& index, const torch::Tensor& positions, int64_t n_distinct) {
  const auto [rows, which] =
      at::_unique(index.index_select(1, positions), /*sorted=*/true, /*return_inverse=*/true);
  return {rows, which.unsqueeze(2) * n_distinct + index.unsqueeze(1)};
}

class ReadOut {
 public:
  ReadOut(const TransformerWeights& weights, const torch::Tensor& tokens,
          const std::vector<int64_t>& positions);
  /// Keeps the last layer's neurons in `seen`, unless null.
  torch::Tensor operator()(Neurons* seen = nullptr) const;

 private:
  Stream embed() const;
  torch::Tensor block(const Stream& stream, const BlockWeights& w, bool last, Neurons* seen) const;
  torch::Tensor paired_attention(const Stream& stream, const torch::Tensor& k, const torch::Tensor& v,
                                 const BlockWeights& w) const;
  torch::Tensor mlp(const torch::Tensor& x, const BlockWeights& w, Neurons* seen) const;

  const TransformerWeights& weights_;
  torch::Tensor tokens_;
  std::vector<int64_t> read_, all_;  // positions: those that are read, and all
  torch::Tensor positions_;          // those that are read
  torch::Tensor future_;             // [n_read, 1, n_ctx] bool; undefined where nothing is masked
  std::optional<DistinctInputs> distinct_;
  std::optional<ScorePairs> pairs_;  // only for one layer: the last is then the first
};

// [n_queries, 1, n_ctx] bool: keys that lie after the query; undefined if there are none. queries:
// `positions`, as a tensor.
torch::Tensor future_of(const std::vector<int64_t>& positions, const torch::Tensor& queries, int64_t n_ctx) {
  if (positions.empty() || positions.front() == n_ctx - 1) return {};
  return (torch::arange(n_ctx, queries.options()).unsqueeze(0) > queries.unsqueeze(1)).unsqueeze(1);
}

ReadOut::ReadOut(const TransformerWeights& weights, const torch::Tensor& tokens,
                 const std::vector<int64_t>& positions)
    : weights_(weights), tokens_(tokens), read_(positions), all_(tokens.size(1)) {
  const int64_t n_ctx = tokens.size(1);
  std::iota(all_.begin(), all_.end(), 0);
  positions_ = kernels::positions_on(tokens.device(), positions);
  future_ = future_of(positions, positions_, n_ctx);
  DistinctInputs distinct = find_distinct(tokens);
  if (2 * distinct.count() > tokens.numel()) return;  // too few repeats for a table to pay
  if (weights.config.n_layers == 1) {
    ScorePairs pairs = find_pairs(distinct.index, positions_, distinct.count());
    if (pairs.query_rows.size(0) * distinct.count() <= pairs.index.numel()) pairs_ = std::move(pairs);
  }
  distinct_ = std::move(distinct);
}

torch::Tensor ReadOut::operator()(Neurons* seen) const {
  Stream stream = embed();
  for (size_t layer = 0; layer < weights_.blocks.size(); ++layer) {
    const bool last = layer + 1 == weights_.blocks.size();
    stream = {block(stream, weights_.blocks[layer], last, last ? seen : nullptr), {}};
  }
  return unembed(stream.rows, weights_);
}

Stream ReadOut::embed() const {
  if (!distinct_)
    return {torch::embedding(weights_.W_E, tokens_) + weights_.W_pos.narrow(0, 0, tokens_.size(1)), {}};
  return {torch::embedding(weights_.W_E, distinct_->token) +
              torch::embedding(weights_.W_pos, distinct_->position),
          distinct_->index};
}

// The residual stream after the block, at the requested positions: [batch, queries, d_model].
torch::Tensor ReadOut::block(const Stream& stream, const BlockWeights& w, bool last, Neurons* seen) const {
  const Stream input = {normalise(stream.rows, w.ln1), stream.index};
  const torch::Tensor k = plus(project_heads(input.rows, w.W_K), w.b_K);
  const torch::Tensor v =
      input.spread(plus(project_heads(input.rows, w.W_V), w.b_V));  // [batch, key, head, d_head]
  torch::Tensor z;                                                  // [batch, queries, head, d_head]
  if (pairs_) {
    z = paired_attention(input, k, v, w);
  } else {
    const Stream asking = last ? input.at(positions_) : input;
    const torch::Tensor q = asking.spread(plus(project_heads(asking.rows, w.W_Q), w.b_Q));
    z = kernels::causal_attention(q, input.spread(k), v, last ? read_ : all_);
  }
  const Stream here = last ? stream.at(positions_) : stream;
  const torch::Tensor resid = here.spread(here.rows) + plus(join_heads(z, w.W_O), w.b_O);
  return w.W_in.defined() ? resid + mlp(normalise(resid, w.ln2), w, seen) : resid;
}

// The output of the heads at the output positions; scores come from a table of all pairs of rows. k:
// [n_distinct, head, d_head]; v: [batch, key, head, d_head].
torch::Tensor ReadOut::paired_attention(const Stream& stream, const torch::Tensor& k, const torch::Tensor& v,
                                        const BlockWeights& w) const {
  const torch::Tensor asking = stream.rows.index_select(0, pairs_->query_rows);
  const torch::Tensor q =
      plus(project_heads(asking, w.W_Q), w.b_Q) / std::sqrt(static_cast<double>(k.size(2)));
  // [n_query_rows, n_distinct, head]
  const torch::Tensor table = torch::einsum("qhd,khd->qkh", {q, k}).reshape({-1, w.W_Q.size(0)});
  torch::Tensor scores =
      torch::embedding(table, pairs_->index).transpose(2, 3);  // [batch, queries, head, key]
  if (future_.defined()) scores = scores.masked_fill(future_, -std::numeric_limits<double>::infinity());
  const torch::Tensor pattern = torch::softmax(scores, -1);
  if (pattern.size(1) == 1 && pattern.size(3) <= 8)  // few keys: cheaper than one small product per head
    return (pattern.squeeze(1).transpose(1, 2).unsqueeze(-1) * v).sum(1, /*keepdim=*/true);
  return torch::matmul(pattern.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2);
}

// x w + b, in one call if there is a bias.
torch::Tensor affine(const torch::Tensor& x, const torch::Tensor& w, const torch::Tensor& b) {
  return b.defined() ? torch::addmm(b, x, w) : x.mm(w);
}

// x: [batch, queries, d_model] -> the output of the neurons.
torch::Tensor ReadOut::mlp(const torch::Tensor& x, const BlockWeights& w, Neurons* seen) const {
  torch::Tensor pre = affine(x.reshape({-1, x.size(-1)}), w.W_in, w.b_in);
  const bool in_place = weights_.config.act_fn == TransformerConfig::ActFn::relu && !seen;
  const torch::Tensor post = in_place ? torch::relu_(pre) : activate(pre, weights_.config.act_fn);
  if (seen) *seen = {pre.view({x.size(0), x.size(1), -1}), post.view({x.size(0), x.size(1), -1})};
  return affine(post, w.W_out, w.b_out).view_as(x);
}

}  // namespace

namespace {

// Whether the passes compute what this network does.
bool knows(const TransformerWeights& weights) {
  using C = TransformerConfig;
  const C& c = weights.config;
  return c.attention_dir == C::AttentionDir::causal && weights.pad_token < 0 && c.attn_scale == 0 &&
         c.attn_coeff == 1 && c.positional_embedding_type == C::PositionalEmbedding::standard &&
         c.normalization_place == C::NormalizationPlace::pre && !c.gated_mlp;
}

std::string last_mlp(const TransformerWeights& weights) {
  return fmt::format("blocks.{}.mlp.", weights.blocks.size() - 1);
}

class ObservedPass final : public ReadOutPass {
 public:
  // pass: computes the logits, and leaves the neurons where it is told to, unless that is null.
  ObservedPass(std::function<torch::Tensor(Neurons*)> pass, const TransformerWeights& weights,
               const ReadOutRequest& request)
      : pass_(std::move(pass)), pre_(last_mlp(weights) + "hook_pre"), hook_points_(request.hook_points) {}

  torch::Tensor logits() override {
    Neurons seen;
    torch::Tensor logits = pass_(hook_points_.empty() ? nullptr : &seen);
    for (const std::string& name : hook_points_) activations_[name] = name == pre_ ? seen.pre : seen.post;
    return logits;
  }

 private:
  std::function<torch::Tensor(Neurons*)> pass_;
  std::string pre_;
  std::vector<std::string> hook_points_;
};

}  // namespace

bool read_out_keeps(const TransformerWeights& weights, const std::vector<std::string>& hook_points) {
  const std::string mlp = last_mlp(weights);
  return knows(weights) && std::all_of(hook_points.begin(), hook_points.end(), [&](const std::string& name) {
           return name == mlp + "hook_pre" || name == mlp + "hook_post";
         });
}

std::unique_ptr<ReadOutPass> make_read_out(const TransformerWeights& weights, const ReadOutRequest& request) {
  if (!knows(weights)) return nullptr;
  const torch::Tensor& tokens = request.tokens;
  const std::vector<int64_t>& positions = request.positions;
  // The order of the sums does not depend on which activations are asked for.
  std::function<torch::Tensor(Neurons*)> pass = make_folded_read_out(weights, tokens, positions);
  if (!pass && !request.observed)
    if (auto additive = make_attention_only_read_out(weights, tokens, positions, request.loss_mask))
      return make_pass(std::move(additive));
  if (!pass)
    pass = [read_out = std::make_shared<ReadOut>(weights, tokens, positions)](Neurons* seen) {
      return (*read_out)(seen);
    };
  if (request.observed) return std::make_unique<ObservedPass>(std::move(pass), weights, request);
  return make_pass([pass = std::move(pass)] { return pass(nullptr); });
}

}  // namespace orrery
