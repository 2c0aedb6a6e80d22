#include "sdk/model/attention_only_read_out.h"

#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include "sdk/kernels/attention.h"
#include "sdk/kernels/sum_of_rows.h"

namespace orrery {
namespace {

// The first n columns of x. All of them are x itself: the gradient of a part is written into zeros first.
torch::Tensor first_columns(const torch::Tensor& x, int64_t n) {
  return n == x.size(1) ? x : x.narrow(1, 0, n);
}

class AttentionOnlyReadOut {
 public:
  AttentionOnlyReadOut(const TransformerWeights& weights, const torch::Tensor& tokens, int64_t n_read,
                       const torch::Tensor& scored);
  torch::Tensor operator()() const;

 private:
  torch::Tensor read(const torch::Tensor& matrix, const torch::Tensor& rows,
                     const std::vector<torch::Tensor>& written) const;
  torch::Tensor at_read(const torch::Tensor& z) const;
  torch::Tensor spread(const torch::Tensor& logits) const;

  const TransformerWeights& weights_;
  int64_t batch_, n_ctx_, n_read_;
  torch::Tensor rows_,
      rows_read_;         // int32 [.., 2] of token and position: everywhere, and where logits are read
  torch::Tensor scored_;  // int64, of the batch n_read logits those that are; undefined: all
};

AttentionOnlyReadOut::AttentionOnlyReadOut(const TransformerWeights& weights, const torch::Tensor& tokens,
                                           int64_t n_read, const torch::Tensor& scored)
    : weights_(weights), batch_(tokens.size(0)), n_ctx_(tokens.size(1)), n_read_(n_read) {
  if (tokens.max().item<int64_t>() >= weights.W_E.size(0))  // it would be taken for a position
    throw Error(fmt::format("a token is {}; the vocabulary has {}", tokens.max().item<int64_t>(),
                            weights.W_E.size(0)),
                "look at the task that made the batch");
  const torch::Tensor position = torch::arange(n_ctx_, torch::kInt64) + weights.W_E.size(0);
  const torch::Tensor rows = torch::stack({tokens, position.expand_as(tokens)}, 2).to(torch::kInt32);
  rows_ = rows.reshape({-1, 2});
  rows_read_ = rows.narrow(1, 0, n_read).reshape({-1, 2});
  if (!scored.defined()) return;
  scored_ = scored.reshape({-1}).nonzero().squeeze(1);
  rows_read_ = rows_read_.index_select(0, scored_);
}

// The residual stream times `matrix` [d_model, n], padded to whole vectors: [examples and positions, width].
// written: [examples and positions, n_heads d_head] of each layer so far.
torch::Tensor AttentionOnlyReadOut::read(const torch::Tensor& matrix, const torch::Tensor& rows,
                                         const std::vector<torch::Tensor>& written) const {
  const int64_t width = (matrix.size(1) + 15) / 16 * 16;
  const torch::Tensor padded =
      width == matrix.size(1) ? matrix : torch::constant_pad_nd(matrix, {0, width - matrix.size(1)});
  const torch::Tensor embedded = torch::cat({weights_.W_E, weights_.W_pos.narrow(0, 0, n_ctx_)});
  torch::Tensor sum = kernels::sum_of_rows(embedded.mm(padded), rows);
  for (size_t layer = 0; layer < written.size(); ++layer) {
    const torch::Tensor& W_O = weights_.blocks[layer].W_O;
    sum.addmm_(written[layer], W_O.reshape({-1, W_O.size(2)}).mm(padded));
  }
  return sum;
}

// [d_model, n_heads d_head] of W_Q, W_K and W_V, side by side.
torch::Tensor into_heads(const BlockWeights& w) {
  std::vector<torch::Tensor> all;
  for (const torch::Tensor& W : {w.W_Q, w.W_K, w.W_V})
    all.push_back(W.transpose(0, 1).reshape({W.size(1), W.size(0) * W.size(2)}));
  return torch::cat(all, 1);
}

// What heads wrote, z [batch, n_ctx or n_read, head, d_head], where logits are read: [.., n_heads d_head].
torch::Tensor AttentionOnlyReadOut::at_read(const torch::Tensor& z) const {
  const torch::Tensor all = first_columns(z, n_read_).reshape({batch_ * n_read_, -1});
  return scored_.defined() ? all.index_select(0, scored_) : all;
}

// [batch, n_read, d_vocab_out], 0 where they do not count.
torch::Tensor AttentionOnlyReadOut::spread(const torch::Tensor& logits) const {
  if (!scored_.defined()) return logits.view({batch_, n_read_, -1});
  return torch::zeros({batch_ * n_read_, logits.size(1)})
      .index_copy(0, scored_, logits)
      .view({batch_, n_read_, -1});
}

torch::Tensor AttentionOnlyReadOut::operator()() const {
  const TransformerConfig& c = weights_.config;
  const int64_t joined = c.n_heads * c.d_head;
  std::vector<torch::Tensor> written, written_read;  // at all positions; at those that are read
  for (const BlockWeights& w : weights_.blocks) {
    const bool last = written.size() + 1 == weights_.blocks.size();
    const torch::Tensor qkv = first_columns(read(into_heads(w), rows_, written), 3 * joined);
    const torch::Tensor z = kernels::causal_attention(qkv.reshape({batch_, n_ctx_, 3, c.n_heads, c.d_head}),
                                                      last ? n_read_ : n_ctx_);
    written.push_back(z.view({-1, joined}));
    written_read.push_back(at_read(z));
  }
  const torch::Tensor logits = read(weights_.W_U, rows_read_, written_read);
  return spread(first_columns(logits, weights_.W_U.size(1)));
}

}  // namespace

std::function<torch::Tensor()> make_attention_only_read_out(const TransformerWeights& weights,
                                                            const torch::Tensor& tokens,
                                                            const std::vector<int64_t>& positions,
                                                            const torch::Tensor& scored) {
  const TransformerConfig& c = weights.config;
  const auto n_read = static_cast<int64_t>(positions.size());
  const bool first_ones = n_read > 0 && positions.back() == n_read - 1;
  const bool fits = c.attn_only && c.normalization_type == TransformerConfig::Normalization::none &&
                    c.biases != TransformerConfig::Biases::all &&
                    c.unembedding == TransformerConfig::Unembedding::own && first_ones &&
                    2 * n_read > tokens.size(1) && tokens.size(0) > 0 && tokens.device().is_cpu() &&
                    weights.W_E.device().is_cpu() && weights.W_E.scalar_type() == torch::kFloat32;
  if (!fits) return {};
  return [read_out = std::make_shared<AttentionOnlyReadOut>(weights, tokens, n_read, scored)] {
    return (*read_out)();
  };
}

}  // namespace orrery
