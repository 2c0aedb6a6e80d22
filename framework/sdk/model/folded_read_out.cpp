#include "sdk/model/folded_read_out.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "sdk/kernels/folded_attention.h"
#include "sdk/kernels/relu_product.h"
#include "sdk/model/distinct_inputs.h"

namespace orrery {
namespace {

// The layout of a batch: its examples, sorted, and their rows in the tables.
struct Layout {
  kernels::FoldedBatch batch;
  torch::Tensor token, position;  // [n_distinct]: the rows of the tables
  torch::Tensor query_rows;       // [n_queries]: those that are read
  std::optional<int64_t> shared;  // the row of a key that is the same in every example
  torch::Tensor place;            // [n_examples] int32: where each was in the batch
};

// Sorts examples so that neighbours share rows: those whose first key is one of 16 together, and among these
// those with the same second key. index: [n_examples, n_keys].
std::vector<int32_t> neighbourly_order(const torch::Tensor& index) {
  const int64_t n_keys = index.size(1);
  const int64_t* const rows = index.data_ptr<int64_t>();
  std::vector<int32_t> order(index.size(0));
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](int32_t i) {
    const int64_t first = rows[i * n_keys], second = n_keys > 1 ? rows[i * n_keys + 1] : 0;
    return std::tuple(first / 16, second, first);
  };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return key(a) < key(b); });
  return order;
}

// The last key that is the same in every example.
std::optional<int64_t> find_shared(const torch::Tensor& index) {
  for (int64_t k = index.size(1) - 1; k >= 0; --k)
    if ((index.select(1, k) == index[0][k]).all().item<bool>()) return k;
  return std::nullopt;
}

Layout find_layout(const torch::Tensor& tokens, int64_t position) {
  const int64_t n_keys = position + 1;  // later ones are masked
  const DistinctInputs distinct = find_distinct(tokens.narrow(1, 0, n_keys));
  Layout layout;
  layout.token = distinct.token;
  layout.position = distinct.position;
  std::vector<int64_t> keys(n_keys);
  std::iota(keys.begin(), keys.end(), 0);
  layout.batch.n_rowed = n_keys;
  if (const auto k = find_shared(distinct.index)) {  // moved to the end
    layout.shared = distinct.index[0][*k].item<int64_t>();
    layout.batch.n_rowed = n_keys - 1;
    std::rotate(keys.begin() + *k, keys.begin() + *k + 1, keys.end());
  }
  const torch::Tensor index = distinct.index.index_select(1, torch::tensor(keys, torch::kInt64)).contiguous();
  layout.place = torch::tensor(neighbourly_order(index), torch::kInt32);
  const torch::Tensor order = layout.place.to(torch::kInt64);
  const auto [rows, query] = at::_unique(distinct.index.select(1, position), true, /*return_inverse=*/true);
  layout.query_rows = rows;
  layout.batch.query = query.index_select(0, order).to(torch::kInt32);
  layout.batch.index = index.index_select(0, order).to(torch::kInt32).contiguous();
  return layout;
}

class FoldedReadOut {
 public:
  FoldedReadOut(const TransformerWeights& weights, Layout layout)
      : weights_(weights), layout_(std::move(layout)) {}
  bool pays() const;
  torch::Tensor operator()(Neurons* seen) const;

 private:
  Neurons neurons(const torch::Tensor& pre) const;
  int64_t n_out() const { return weights_.W_U.size(1); }
  int64_t width() const { return kernels::padded_width(weights_.config.d_mlp + n_out()); }
  torch::Tensor into_neurons_and_logits() const;
  torch::Tensor bias() const;
  torch::Tensor scores(const torch::Tensor& resid) const;

  const TransformerWeights& weights_;
  Layout layout_;
};

// Whether this takes fewer multiplications than the residual stream would.
bool FoldedReadOut::pays() const {
  const TransformerConfig& c = weights_.config;
  const double n = static_cast<double>(layout_.batch.index.size(0)), joined = c.n_heads * c.d_head;
  const double terms = c.n_heads * layout_.batch.n_rowed, d_model = c.d_model, d_mlp = c.d_mlp;
  const double once =
      joined * d_model * width() + layout_.token.size(0) * joined * width() + d_mlp * d_model * n_out();
  const double folded = once + n * (terms * width() + d_mlp * n_out());
  const double plain = n * (joined * d_model + 2 * d_model * d_mlp + d_model * n_out());
  return kernels::folded_attention_fits(layout_.batch, c.n_heads) && folded < plain;
}

// [d_model, width]: W_in beside W_U, then zeros.
torch::Tensor FoldedReadOut::into_neurons_and_logits() const {
  const torch::Tensor &W_in = weights_.blocks[0].W_in, &W_U = weights_.W_U;
  const int64_t padding = width() - W_in.size(1) - W_U.size(1);
  return torch::cat({W_in, W_U, torch::zeros({W_in.size(0), padding})}, 1);
}

// [width]: what is added whatever the input.
torch::Tensor FoldedReadOut::bias() const {
  const BlockWeights& w = weights_.blocks[0];
  torch::Tensor to_neurons = w.b_in.defined() ? w.b_in : torch::zeros({weights_.config.d_mlp});
  torch::Tensor to_logits = weights_.b_U.defined() ? weights_.b_U : torch::zeros({n_out()});
  if (w.b_out.defined()) to_logits = to_logits + w.b_out.matmul(weights_.W_U);
  return torch::cat({to_neurons, to_logits, torch::zeros({width() - to_neurons.size(0) - n_out()})});
}

// [n_queries, n_distinct, n_heads]
torch::Tensor FoldedReadOut::scores(const torch::Tensor& resid) const {
  const BlockWeights& w = weights_.blocks[0];
  const double scale = 1 / std::sqrt(static_cast<double>(w.W_Q.size(2)));
  const torch::Tensor asking = resid.index_select(0, layout_.query_rows);
  const torch::Tensor q = plus(project_heads(asking, w.W_Q), w.b_Q) * scale,
                      k = plus(project_heads(resid, w.W_K), w.b_K);
  return at::bmm(q.transpose(0, 1), k.permute({1, 2, 0})).permute({1, 2, 0});
}

// pre: [n_examples, d_mlp], in the order of the layout.
Neurons FoldedReadOut::neurons(const torch::Tensor& pre) const {
  const torch::Tensor place = layout_.place.to(torch::kInt64);
  const torch::Tensor from =
      torch::empty_like(place).scatter_(0, place, torch::arange(place.size(0), torch::kInt64));
  const torch::Tensor in_batch = pre.index_select(0, from).unsqueeze(1);
  return {in_batch, torch::relu(in_batch)};
}

torch::Tensor FoldedReadOut::operator()(Neurons* seen) const {
  const BlockWeights& w = weights_.blocks[0];
  const TransformerConfig& c = weights_.config;
  const torch::Tensor resid =
      torch::embedding(weights_.W_E, layout_.token) + torch::embedding(weights_.W_pos, layout_.position);
  torch::Tensor v = plus(project_heads(resid, w.W_V), w.b_V);  // [n_distinct, head, d_head]
  torch::Tensor read = resid.index_select(0, layout_.query_rows);
  if (w.b_O.defined()) read = read + w.b_O;
  if (layout_
          .shared) {  // a pattern sums to 1: the shared key's value goes to everyone, others differ from it
    const torch::Tensor shared = v.narrow(0, *layout_.shared, 1);
    read = read + join_heads(shared, w.W_O);
    v = v - shared;
  }
  const torch::Tensor onwards = into_neurons_and_logits();
  const torch::Tensor W_OX = w.W_O.reshape({c.n_heads * c.d_head, c.d_model}).mm(onwards);
  const torch::Tensor table = at::bmm(v.transpose(0, 1), W_OX.view({c.n_heads, c.d_head, width()}));
  const torch::Tensor base = torch::addmm(bias(), read, onwards);
  const torch::Tensor pre_and_direct = kernels::folded_attention(scores(resid), table, base, layout_.batch);
  if (seen) *seen = neurons(pre_and_direct.narrow(1, 0, c.d_mlp));
  return kernels::relu_product(pre_and_direct, w.W_out.mm(weights_.W_U), kernels::Direct::added,
                               layout_.place)
      .unsqueeze(1);
}

}  // namespace

std::function<torch::Tensor(Neurons*)> make_folded_read_out(const TransformerWeights& weights,
                                                            const torch::Tensor& tokens,
                                                            const std::vector<int64_t>& positions) {
  const TransformerConfig& c = weights.config;
  const bool fits = c.n_layers == 1 && !c.attn_only && c.act_fn == TransformerConfig::ActFn::relu &&
                    c.normalization_type == TransformerConfig::Normalization::none &&
                    c.unembedding == TransformerConfig::Unembedding::own && positions.size() == 1 &&
                    tokens.size(0) > 0 && tokens.device().is_cpu() && weights.W_E.device().is_cpu() &&
                    weights.W_E.scalar_type() == torch::kFloat32;
  if (!fits) return {};
  auto folded = std::make_shared<FoldedReadOut>(weights, find_layout(tokens, positions[0]));
  if (!folded->pays()) return {};
  return [folded](Neurons* seen) { return (*folded)(seen); };
}

}  // namespace orrery
