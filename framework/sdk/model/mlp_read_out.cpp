// The read-out pass of the MLP: a function of one operand is computed once per token, and consecutive
// matrices are multiplied first if that saves multiplications.
#include <ATen/Functions.h>

#include "sdk/kernels/folded_attention.h"
#include "sdk/kernels/relu_product.h"
#include "sdk/kernels/sum_of_rows.h"
#include "sdk/model/mlp_table.h"
#include "sdk/model/plus.h"

namespace orrery {
namespace {

// Bits are grouped: an example adds one row per group instead of one per bit that is on.
constexpr int64_t bits_at_once = 4, patterns_of_bits = 1 << bits_at_once;

}  // namespace

bool Mlp::operands_share_rows() const {
  return config_.input == MlpConfig::Input::one_hot_sum ||
         (W_in_[0].is_same(W_in_[1]) && (circle_.defined() || W_E_[0].is_same(W_E_[1])));
}

// The first layer is a sum of functions of one operand each. If there are fewer tokens than examples, they
// are computed once per token, as tables [d_vocab, d_mlp] whose rows are looked up.
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

// Whether the kernels support everything between the tables and the output of the hidden layer.
bool Mlp::table_fits(const torch::Tensor& tokens) const {
  if (!kernels_fit(tokens) || config_.act_fn != MlpConfig::ActFn::relu || W_hidden_.defined()) return false;
  if (!has_bits()) return d_vocab_ <= tokens.size(0);
  const int64_t n_groups = (tokens.size(1) + bits_at_once - 1) / bits_at_once;
  return n_groups < kernels::most_summed_rows && n_groups * patterns_of_bits < tokens.size(0);
}

// The inputs that are 0 except in one group of four adjacent bits, all sixteen for each group: [rows, d_in].
// The bias column goes with the first four.
torch::Tensor Mlp::patterns() const {
  const int64_t n_bits = W_in_[0].size(0) - (config_.bias_column ? 1 : 0);
  const int64_t n_groups = (n_bits + bits_at_once - 1) / bits_at_once;
  torch::Tensor four = torch::arange(patterns_of_bits, torch::kInt64).unsqueeze(1);
  four = four.bitwise_right_shift(torch::arange(bits_at_once, torch::kInt64)).bitwise_and(1);
  if (config_.bit_values == MlpConfig::BitValues::signs) four = 2 * four - 1;
  const torch::Tensor all = torch::zeros({n_groups, patterns_of_bits, n_groups, bits_at_once});
  for (int64_t g = 0; g < n_groups; ++g) all[g].select(1, g).copy_(four);
  const torch::Tensor rows = all.view({n_groups * patterns_of_bits, -1}).narrow(1, 0, n_bits);
  if (!config_.bias_column) return rows;
  const torch::Tensor bias = torch::zeros({rows.size(0), 1});
  bias.narrow(0, 0, patterns_of_bits).fill_(1);
  return torch::cat({rows, bias}, 1);
}

// [batch, n_groups] int32, or one more with b_in: the rows of first_layer_table that an example adds.
torch::Tensor Mlp::rows_of_bits(const torch::Tensor& tokens) const {
  const int64_t n_groups = (tokens.size(1) + bits_at_once - 1) / bits_at_once;
  const int64_t padding = n_groups * bits_at_once - tokens.size(1);
  const torch::Tensor four =
      torch::constant_pad_nd(tokens, {0, padding}).view({tokens.size(0), n_groups, bits_at_once});
  const torch::Tensor worth = torch::tensor({1, 2, 4, 8}, torch::kInt64);
  const torch::Tensor first = torch::arange(n_groups, torch::kInt64) * patterns_of_bits;
  torch::Tensor rows = (four * worth).sum(2) + first;
  if (b_in_.defined()) rows = torch::constant_pad_nd(rows, {0, 1}, n_groups * patterns_of_bits);
  return rows.to(torch::kInt32);
}

// The first layer as a table whose rows are added, padded to whole vectors: a row per token for both operands
// or for each, or a row per pattern of bits, then b_in.
torch::Tensor Mlp::first_layer_table(const torch::Tensor& fixed) const {
  std::vector<torch::Tensor> parts;
  if (has_bits()) parts.push_back(fixed.mm(W_in_[0]));
  for (size_t i = 0; !has_bits() && i < (operands_share_rows() ? 1 : 2); ++i)
    parts.push_back(config_.input == MlpConfig::Input::one_hot_sum || reads_tokens()
                        ? W_in_[i]
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

// The last hidden layer, as a function of the matrix that multiplies its activations. fixed: operands, bits
// or patterns of bits; rows: rows of the table made from it, undefined if the kernels do not fit.
std::function<torch::Tensor(const torch::Tensor& W)> Mlp::hidden_layer(const torch::Tensor& fixed,
                                                                       const torch::Tensor& rows) const {
  if (rows.defined())
    return [pre = kernels::sum_of_rows(first_layer_table(fixed), rows)](const torch::Tensor& W) {
      return kernels::relu_product(pre, W, kernels::Direct::none);
    };
  const torch::Tensor pre = has_bits() ? fixed.mm(W_in_[0]) : fast_first_layer(fixed);
  torch::Tensor post = activate(plus(pre, b_in_));
  if (W_hidden_.defined()) post = activate(plus(post.mm(W_hidden_), b_hidden_));
  return [post](const torch::Tensor& W) { return post.mm(W); };
}

// Whether W_out W_U is made one small matrix first: where that saves multiplications.
bool Mlp::output_is_joined(int64_t n_examples) const {
  const int64_t d_mlp = W_out_.size(0), d_embed = W_out_.size(1);
  return d_mlp * d_embed * d_vocab_out_ + n_examples * d_mlp * d_vocab_out_ <
         n_examples * d_embed * (d_mlp + d_vocab_out_);
}

// Whether logits are relu(a sum of rows of the table) times one matrix (mlp_table.h).
bool Mlp::is_one_table(const torch::Tensor& tokens) const {
  return table_fits(tokens) && (writes_logits() || (output_is_joined(tokens.size(0)) && !b_out_.defined()));
}

std::unique_ptr<ReadOutPass> Mlp::fast_read_out(const ReadOutRequest& request) {
  const torch::Tensor& tokens = request.tokens;
  // Independent of the weights, so made once.
  const bool by_rows = table_fits(tokens);
  const torch::Tensor fixed = !has_bits() ? tokens.narrow(1, 0, 2).contiguous()
                              : by_rows   ? patterns()
                                          : bits(tokens);
  const torch::Tensor rows = !by_rows     ? torch::Tensor()
                             : has_bits() ? rows_of_bits(tokens)
                                          : first_layer_rows(fixed);
  const auto n_read = static_cast<int64_t>(request.positions.size());
  const bool joined = output_is_joined(tokens.size(0));
  // Without gradients, few outputs are computed in one pass over the examples, to the same bits.
  const bool at_once = d_vocab_out_ <= kernels::few_outputs && is_one_table(tokens);
  return make_pass(
      [this, tokens, fixed, rows, n_read, joined, at_once, table = std::shared_ptr<Table>()]() mutable {
        if (at_once && !at::GradMode::is_enabled()) {
          if (!table) table = std::make_shared<Table>(*this, tokens);
          return table->logits().unsqueeze(1).expand({-1, n_read, -1});
        }
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
      });
}

}  // namespace orrery
