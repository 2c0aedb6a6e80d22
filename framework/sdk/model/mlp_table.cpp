#include "sdk/model/mlp_table.h"

#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include "sdk/kernels/folded_attention.h"

namespace orrery {

SparseFactor::SparseFactor(torch::Tensor dense) : dense_(std::move(dense)) {
  const auto entry = dense_.accessor<float, 2>();
  begin_.push_back(0);
  for (int64_t r = 0; r < dense_.size(0); ++r) {
    for (int64_t c = 0; c < dense_.size(1); ++c)
      if (entry[r][c] != 0) {
        column_.push_back(static_cast<int32_t>(c));
        value_.push_back(entry[r][c]);
      }
    begin_.push_back(static_cast<int32_t>(column_.size()));
  }
}

void SparseFactor::times(const torch::Tensor& x, torch::Tensor to) {
  if (!by_loop_) by_loop_ = sums_like_the_blas(x.size(1));
  if (*by_loop_)
    loop(x, to);
  else
    to.copy_(dense_.mm(x.contiguous()));
}

void SparseFactor::loop(const torch::Tensor& x, const torch::Tensor& to) const {
  kernels::loops().sparse_product({dense_.size(0), begin_.data(), column_.data(), value_.data()}, x.size(1),
                                  x.data_ptr<float>(), x.stride(0), to.data_ptr<float>(), to.stride(0));
}

bool SparseFactor::sums_like_the_blas(int64_t n_columns) const {
  const torch::Tensor x = torch::randn({dense_.size(1), n_columns}, make_generator(0));
  const torch::Tensor to = torch::empty({dense_.size(0), n_columns});
  loop(x, to);
  return to.equal(dense_.mm(x));
}

Mlp::Table::Table(Mlp& mlp, const torch::Tensor& tokens)
    : mlp_(mlp), n_parts_(mlp.has_bits() || mlp.operands_share_rows() ? 1 : 2) {
  if (mlp.has_bits()) {
    const torch::Tensor patterns = mlp.patterns();
    patterns_.emplace(patterns);
    part_rows_ = patterns.size(0);
    rows_ = mlp.rows_of_bits(tokens).contiguous();
  } else {
    part_rows_ = mlp.d_vocab_;
    rows_ = mlp.first_layer_rows(tokens.narrow(1, 0, 2)).contiguous();
  }
  const int64_t width = kernels::padded_width(mlp.config_.d_mlp);
  values_ = torch::zeros({n_parts_ * part_rows_ + (mlp.b_in_.defined() ? 1 : 0), width});
  if (rows_.numel() > 0 &&
      (rows_.min().item<int32_t>() < 0 || rows_.max().item<int32_t>() >= values_.size(0)))
    throw Error(fmt::format("a batch has a token outside of 0 to {}", mlp.d_vocab_ - 1),
                "look at the task that made the batch");
  places_ = rows_ * width;
  product_ = torch::empty({0});
  W_ = mlp.writes_logits() ? mlp.W_out_.detach() : torch::empty({mlp.config_.d_mlp, mlp.d_vocab_out_});
}

void Mlp::Table::write() {
  if (mlp_.has_bits()) patterns_->times(mlp_.W_in_[0], part(values_, 0));
  for (int64_t i = 0; !mlp_.has_bits() && i < n_parts_; ++i) {
    if (mlp_.reads_tokens()) {
      part(values_, i).copy_(mlp_.W_in_[i]);
      continue;
    }
    at::mm_out(product_, mlp_.embedding_of(i), mlp_.W_in_[i]);
    part(values_, i).copy_(product_);
  }
  if (mlp_.b_in_.defined()) bias_row(values_).copy_(mlp_.b_in_);
  if (mlp_.writes_logits())
    W_ = mlp_.W_out_.detach();  // which may lie elsewhere by now
  else
    at::mm_out(W_, mlp_.W_out_, mlp_.unembedding());
}

kernels::FewOutputs Mlp::Table::network() const {
  return {rows_.size(0),
          rows_.size(1),
          values_.size(0),
          W_.size(0),
          W_.size(1),
          values_.size(1),
          places_.data_ptr<int32_t>(),
          values_.data_ptr<float>(),
          W_.data_ptr<float>(),
          mlp_.b_out_.defined() ? mlp_.b_out_.data_ptr<float>() : nullptr};
}

torch::Tensor Mlp::Table::logits() {
  write();
  const torch::Tensor logits = torch::empty({rows_.size(0), W_.size(1)});
  kernels::loops().few_outputs_logits(network(), logits.data_ptr<float>());
  return logits;
}

}  // namespace orrery
