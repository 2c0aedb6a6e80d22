// The read-out pass of the MLP: what depends on one operand alone is computed once per token, and matrices
// that follow each other are multiplied first where that saves multiplications.
#include <ATen/Functions.h>

#include "kernels/folded_attention.h"
#include "kernels/relu_product.h"
#include "kernels/sum_of_rows.h"
#include "model/mlp_model.h"
#include "model/plus.h"

namespace orrery {

bool Mlp::operands_share_rows() const {
  return config_.input == "one_hot_sum" ||
         (W_in_[0].is_same(W_in_[1]) && (circle_.defined() || W_E_[0].is_same(W_E_[1])));
}

// The first layer is a sum of one function of each operand. Where there are fewer tokens than examples, that
// function is computed once per token: a table [d_vocab, d_mlp], whose rows are then looked up.
torch::Tensor Mlp::fast_first_layer(const torch::Tensor& operands) const {
  std::array<torch::Tensor, 2> term;
  const bool by_token = d_vocab_ <= operands.size(0);
  if (operands_share_rows()) {
    const torch::Tensor& W_in = W_in_[0];
    if (reads_tokens()) return torch::embedding(W_in, operands).sum(1);
    if (by_token) return torch::embedding(embedding_of(0).mm(W_in), operands).sum(1);
    return torch::embedding(embedding_of(0), operands).sum(1).mm(W_in);
  }
  for (size_t i = 0; i < 2; ++i) {
    const torch::Tensor tokens = operands.select(1, static_cast<int64_t>(i));
    if (reads_tokens())
      term[i] = torch::embedding(W_in_[i], tokens);
    else if (by_token)
      term[i] = torch::embedding(embedding_of(i).mm(W_in_[i]), tokens);
    else
      term[i] = torch::embedding(embedding_of(i), tokens).mm(W_in_[i]);
  }
  return term[0] + term[1];
}

bool Mlp::kernels_fit(const torch::Tensor& tokens) const {
  return tokens.device().is_cpu() && device().is_cpu() && W_out_.scalar_type() == torch::kFloat32;
}

// Whether the kernels can do all that lies between the tables and the hidden layer's output.
bool Mlp::table_fits(const torch::Tensor& tokens) const {
  return kernels_fit(tokens) && !has_bits() && config_.act_fn == "relu" && !W_hidden_.defined() &&
         d_vocab_ <= tokens.size(0);
}

// The first layer as a table whose rows are added, padded to whole vectors: a row per token for both operands
// or for each, then b_in.
torch::Tensor Mlp::first_layer_table() const {
  std::vector<torch::Tensor> parts;
  for (size_t i = 0; i < (operands_share_rows() ? 1 : 2); ++i)
    parts.push_back(config_.input == "one_hot_sum" || reads_tokens() ? W_in_[i]
                                                                     : embedding_of(i).mm(W_in_[i]));
  if (b_in_.defined()) parts.push_back(b_in_.unsqueeze(0));
  const torch::Tensor table = parts.size() == 1 ? parts[0] : torch::cat(parts);
  return torch::constant_pad_nd(table, {0, kernels::padded_width(table.size(1)) - table.size(1)});
}

// [batch, 2 or 3] int32: the rows of that table that an example adds.
torch::Tensor Mlp::first_layer_rows(const torch::Tensor& operands) const {
  const int64_t n_tables = operands_share_rows() ? 1 : 2;
  const torch::Tensor a = operands.select(1, 0), b = operands.select(1, 1) + (n_tables - 1) * d_vocab_;
  std::vector<torch::Tensor> rows = {a, b};
  if (b_in_.defined()) rows.push_back(torch::full_like(a, n_tables * d_vocab_));
  return torch::stack(rows, 1).to(torch::kInt32);
}

// The last hidden layer's activations, as what they become when multiplied by a matrix. rows: undefined where
// the kernels do not fit.
std::function<torch::Tensor(const torch::Tensor& W)> Mlp::hidden_layer(const torch::Tensor& fixed,
                                                                       const torch::Tensor& rows) const {
  if (rows.defined())
    return [pre = kernels::sum_of_rows(first_layer_table(), rows)](const torch::Tensor& W) {
      return kernels::relu_product(pre, W, kernels::Direct::none);
    };
  torch::Tensor pre;
  if (has_bits() && config_.bit_values == "0,1" && kernels_fit(fixed))  // half of them are 0
    pre = kernels::relu_product(fixed, W_in_[0], kernels::Direct::none);
  else
    pre = has_bits() ? fixed.mm(W_in_[0]) : fast_first_layer(fixed);
  torch::Tensor post = activate(plus(pre, b_in_));
  if (W_hidden_.defined()) post = activate(plus(post.mm(W_hidden_), b_hidden_));
  return [post](const torch::Tensor& W) { return post.mm(W); };
}

std::function<torch::Tensor()> Mlp::read_out(torch::Tensor tokens, std::vector<int64_t> positions) {
  // What the weights do not change is made once.
  const torch::Tensor fixed = has_bits() ? bits(tokens) : tokens.narrow(1, 0, 2).contiguous();
  const auto n_read = static_cast<int64_t>(positions.size());
  const int64_t batch = tokens.size(0), d_mlp = W_out_.size(0), d_embed = W_out_.size(1);
  // W_out W_U as one small matrix, where that saves multiplications.
  const bool joined = d_mlp * d_embed * d_vocab_out_ + batch * d_mlp * d_vocab_out_ <
                      batch * d_embed * (d_mlp + d_vocab_out_);
  const torch::Tensor rows = table_fits(tokens) ? first_layer_rows(fixed) : torch::Tensor();
  return [this, fixed, rows, n_read, joined] {
    const auto onwards = hidden_layer(fixed, rows);
    torch::Tensor logits;
    if (writes_logits()) {
      logits = plus(onwards(W_out_), b_out_);
    } else if (const torch::Tensor W_U = unembedding(); joined) {
      logits = plus(onwards(W_out_.mm(W_U)), b_out_.defined() ? b_out_.matmul(W_U) : b_out_);
    } else {
      logits = plus(onwards(W_out_), b_out_).mm(W_U);
    }
    return logits.unsqueeze(1).expand({-1, n_read, -1});
  };
}

}  // namespace orrery
