// The MLP's gradients by hand: the table of its first layer, the kernels between the table and the loss, and
// the chain rule back to the weights. The order of every sum is that of mlp_read_out.cpp under autograd.
#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>
#include <optional>
#include <vector>

#include "sdk/kernels/folded_attention.h"
#include "sdk/kernels/simd/dispatch.h"
#include "sdk/model/gradient_pass.h"
#include "sdk/model/mlp_model.h"

namespace orrery {

// A constant matrix with few entries that are not 0, as a factor.
class SparseFactor {
 public:
  explicit SparseFactor(torch::Tensor dense) : dense_(std::move(dense)) {
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

  // to = this times x, with the bits of at::mm: by a loop if the BLAS sums such shapes by ascending column
  // too, as most do, else by the BLAS.
  void times(const torch::Tensor& x, torch::Tensor to) {
    if (!by_loop_) by_loop_ = sums_like_the_blas(x.size(1));
    if (*by_loop_)
      loop(x, to);
    else
      to.copy_(dense_.mm(x.contiguous()));
  }

 private:
  void loop(const torch::Tensor& x, const torch::Tensor& to) const {
    kernels::loops().sparse_product({dense_.size(0), begin_.data(), column_.data(), value_.data()}, x.size(1),
                                    x.data_ptr<float>(), x.stride(0), to.data_ptr<float>(), to.stride(0));
  }
  bool sums_like_the_blas(int64_t n_columns) const {
    const torch::Tensor x = torch::randn({dense_.size(1), n_columns}, make_generator(0));
    const torch::Tensor to = torch::empty({dense_.size(0), n_columns});
    loop(x, to);
    return to.equal(dense_.mm(x));
  }

  torch::Tensor dense_;
  std::vector<int32_t> begin_, column_;
  std::vector<float> value_;
  std::optional<bool> by_loop_;
};

namespace {

// The rows that each example adds, as places in a table of this width.
torch::Tensor places(const torch::Tensor& rows, int64_t width) { return (rows * width).contiguous(); }

void check_range(const torch::Tensor& values, int64_t end, const char* what) {
  if (values.numel() == 0 || (values.min().item<int64_t>() >= 0 && values.max().item<int64_t>() < end))
    return;
  throw Error(fmt::format("a batch has a {} outside of 0 to {}", what, end - 1),
              "look at the task that made the batch");
}

}  // namespace

GradientPass::~GradientPass() = default;

class Mlp::Gradients final : public GradientPass {
 public:
  Gradients(Mlp& mlp, const TaskSpec& spec, const Batch& batch);
  double loss_and_gradients() override;

 private:
  void write_table();
  double few_outputs();
  double many_outputs();
  void table_gradients();
  void embedding_gradients(size_t operand, const torch::Tensor& d_rows);
  void output_gradients();
  // a b, written to or added to `to`.
  static void put_product(const torch::Tensor& to, const torch::Tensor& a, const torch::Tensor& b, bool add);
  static torch::Tensor& gradient(const torch::Tensor& weight) { return weight.mutable_grad(); }
  // The rows of the table, or of its gradient, that come from operand i, from the bits, or from b_in.
  torch::Tensor part(const torch::Tensor& table, int64_t first, int64_t n) const {
    return table.narrow(0, first, n).narrow(1, 0, n_neurons_);
  }

  Mlp& mlp_;
  int64_t n_examples_, n_neurons_, n_out_, n_tables_, table_rows_, width_;
  kernels::LabelledLoss loss_{};
  double n_counted_;
  torch::Tensor labels_, counts_, rows_, places_;
  std::optional<SparseFactor> patterns_, bits_of_patterns_;
  torch::Tensor table_, d_table_;  // [rows, width]
  // W_out or W_out W_U, and the gradient: [n_neurons, n_out], the second perhaps with a stride
  torch::Tensor W_, d_W_, padded_W_, d_padded_W_;
  torch::Tensor pre_, d_pre_, logits_, d_logits_;  // many outputs: of all examples
  torch::Tensor query_, base_, d_base_, product_;  // scratch
};

Mlp::Gradients::Gradients(Mlp& mlp, const TaskSpec& spec, const Batch& batch)
    : mlp_(mlp),
      n_examples_(batch.size()),
      n_neurons_(mlp.config_.d_mlp),
      n_out_(mlp.d_vocab_out_),
      n_tables_(mlp.has_bits() || mlp.operands_share_rows() ? 1 : 2),
      labels_(batch.labels.contiguous()) {
  check_range(labels_, spec.loss == Loss::hinge ? 2 : n_out_, "label");
  check_range(batch.tokens, mlp.d_vocab_, "token");
  if (batch.scored.defined()) counts_ = batch.scored.contiguous();
  n_counted_ = static_cast<double>(counts_.defined() ? counts_.sum().item<int64_t>() : labels_.numel());
  loss_ = {spec.loss == Loss::hinge, labels_.data_ptr<int64_t>(),
           counts_.defined() ? counts_.data_ptr<bool>() : nullptr, 1 / n_counted_};
  if (mlp.has_bits()) {
    const torch::Tensor patterns = mlp.patterns();
    patterns_.emplace(patterns);
    bits_of_patterns_.emplace(patterns.t());
    table_rows_ = patterns.size(0);
    rows_ = mlp.rows_of_bits(batch.tokens);
  } else {
    table_rows_ = mlp.d_vocab_;
    rows_ = mlp.first_layer_rows(batch.tokens.narrow(1, 0, 2));
  }
  width_ = kernels::padded_width(n_neurons_);
  table_ = torch::zeros({n_tables_ * table_rows_ + (mlp.b_in_.defined() ? 1 : 0), width_});
  d_table_ = torch::zeros_like(table_);
  product_ = torch::empty({0});
  rows_ = rows_.contiguous();
  places_ = places(rows_, width_);
  if (!mlp.writes_logits()) W_ = torch::empty({n_neurons_, n_out_});
  if (n_out_ <= kernels::few_outputs) {
    d_W_ = torch::empty({n_neurons_, n_out_});
    if (mlp.b_out_.defined()) d_logits_ = torch::empty({n_examples_, n_out_});
    return;
  }
  padded_W_ = torch::zeros({n_neurons_, kernels::loops().padded(n_out_)});
  d_padded_W_ = torch::empty_like(padded_W_);
  d_W_ = d_padded_W_.narrow(1, 0, n_out_);
  pre_ = torch::empty({n_examples_, width_});
  d_pre_ = torch::zeros_like(pre_);
  logits_ = torch::empty({n_examples_, n_out_});
  d_logits_ = torch::empty_like(logits_);
  query_ = torch::zeros({n_examples_}, torch::kInt32);
  base_ = torch::zeros({width_});
  d_base_ = torch::empty({width_});
}

double Mlp::Gradients::loss_and_gradients() {
  torch::NoGradGuard no_grad;
  write_table();
  const double loss = n_out_ <= kernels::few_outputs ? few_outputs() : many_outputs();
  if (!std::isfinite(loss)) return loss;
  table_gradients();
  output_gradients();
  return loss;
}

// As first_layer_table().
void Mlp::Gradients::write_table() {
  if (mlp_.has_bits()) patterns_->times(mlp_.W_in_[0], part(table_, 0, table_rows_));
  for (int64_t i = 0; !mlp_.has_bits() && i < n_tables_; ++i) {
    torch::Tensor rows = part(table_, i * table_rows_, table_rows_);
    if (mlp_.reads_tokens()) {
      rows.copy_(mlp_.W_in_[i]);
      continue;
    }
    at::mm_out(product_, mlp_.embedding_of(i), mlp_.W_in_[i]);
    rows.copy_(product_);
  }
  if (mlp_.b_in_.defined()) part(table_, n_tables_ * table_rows_, 1).copy_(mlp_.b_in_.unsqueeze(0));
  if (mlp_.writes_logits())
    W_ = mlp_.W_out_.detach();
  else
    at::mm_out(W_, mlp_.W_out_, mlp_.unembedding());
}

double Mlp::Gradients::few_outputs() {
  const kernels::FewOutputs network = {n_examples_,
                                       rows_.size(1),
                                       table_.size(0),
                                       n_neurons_,
                                       n_out_,
                                       width_,
                                       places_.data_ptr<int32_t>(),
                                       table_.data_ptr<float>(),
                                       W_.data_ptr<float>(),
                                       mlp_.b_out_.defined() ? mlp_.b_out_.data_ptr<float>() : nullptr};
  return kernels::loops().few_outputs_gradients(network, loss_, d_table_.data_ptr<float>(),
                                                d_W_.data_ptr<float>(),
                                                d_logits_.defined() ? d_logits_.data_ptr<float>() : nullptr) /
         n_counted_;
}

double Mlp::Gradients::many_outputs() {
  const kernels::Loops& loops = kernels::loops();
  const kernels::FoldedSum rows = {.n_examples = n_examples_,
                                   .n_heads = 1,
                                   .n_keys = rows_.size(1),
                                   .n_rowed = rows_.size(1),
                                   .n_distinct = table_.size(0),
                                   .n_queries = 1,
                                   .width = width_,
                                   .index = rows_.data_ptr<int32_t>(),
                                   .query = query_.data_ptr<int32_t>(),
                                   .pattern = nullptr,
                                   .table = table_.data_ptr<float>(),
                                   .base = base_.data_ptr<float>(),
                                   .ld_out = width_};
  padded_W_.narrow(1, 0, n_out_).copy_(W_);
  const kernels::ReluProduct product = {
      n_examples_, n_neurons_, n_out_, pre_.data_ptr<float>(), width_, padded_W_.data_ptr<float>()};
  loops.folded_forward(rows, pre_.data_ptr<float>());
  loops.relu_product(product, nullptr, 0, nullptr, logits_.data_ptr<float>());
  if (mlp_.b_out_.defined()) logits_.add_(mlp_.b_out_);
  const double sum = loops.cross_entropy(n_examples_, n_out_, logits_.data_ptr<float>(), loss_.labels,
                                         loss_.counts, loss_.scale, d_logits_.data_ptr<float>());
  loops.relu_product_inputs(product, d_logits_.data_ptr<float>(), n_out_, d_pre_.data_ptr<float>());
  loops.relu_product_weights(product, d_logits_.data_ptr<float>(), n_out_, d_padded_W_.data_ptr<float>());
  loops.folded_backward(rows, d_pre_.data_ptr<float>(), nullptr, d_table_.data_ptr<float>(),
                        d_base_.data_ptr<float>());
  return sum / n_counted_;
}

// d_rows is the gradient of embedding W_in, the first uses of these weights being overwritten, the second
// added.
void Mlp::Gradients::embedding_gradients(size_t operand, const torch::Tensor& d_rows) {
  const torch::Tensor embedding = mlp_.embedding_of(operand), W_in = mlp_.W_in_[operand];
  const auto again = [&](const std::array<torch::Tensor, 2>& weight) {
    return operand == 1 && weight[0].is_same(weight[1]);
  };
  if (!mlp_.circle_.defined()) put_product(gradient(embedding), d_rows, W_in.t(), again(mlp_.W_E_));
  put_product(gradient(W_in), embedding.t(), d_rows, again(mlp_.W_in_));
}

void Mlp::Gradients::table_gradients() {
  if (mlp_.has_bits()) bits_of_patterns_->times(part(d_table_, 0, table_rows_), gradient(mlp_.W_in_[0]));
  for (int64_t i = 0; !mlp_.has_bits() && i < n_tables_; ++i) {
    const torch::Tensor d_rows = part(d_table_, i * table_rows_, table_rows_);
    if (mlp_.reads_tokens())
      gradient(mlp_.W_in_[i]).copy_(d_rows);
    else
      embedding_gradients(static_cast<size_t>(i), d_rows);
  }
  if (mlp_.b_in_.defined()) gradient(mlp_.b_in_).copy_(part(d_table_, n_tables_ * table_rows_, 1).squeeze(0));
}

void Mlp::Gradients::output_gradients() {
  if (mlp_.b_out_.defined()) at::sum_out(gradient(mlp_.b_out_), d_logits_, {0});
  if (mlp_.writes_logits()) {
    gradient(mlp_.W_out_).copy_(d_W_);
    return;
  }
  put_product(gradient(mlp_.W_out_), d_W_, mlp_.unembedding().t(), false);
  if (mlp_.W_U_.defined())
    put_product(gradient(mlp_.W_U_), mlp_.W_out_.t(), d_W_, false);
  else if (!mlp_.circle_.defined())  // the first rows of W_E, transposed: its second use
    put_product(gradient(mlp_.W_E_[0]).narrow(0, 0, n_out_), d_W_.t(), mlp_.W_out_, true);
}

void Mlp::Gradients::put_product(const torch::Tensor& to, const torch::Tensor& a, const torch::Tensor& b,
                                 bool add) {
  torch::Tensor target = to;
  if (add)
    target.addmm_(a, b);
  else
    at::mm_out(target, a, b);
}

bool Mlp::gradients_fit(const TaskSpec& spec, const Batch& batch) const {
  if (batch.size() == 0 || spec.read_out.size() != 1 || !table_fits(batch.tokens)) return false;
  if (spec.loss == Loss::hinge && d_vocab_out_ != 1) return false;
  if (writes_logits()) return true;
  // Autograd adds three gradients of one weight in an order of its own.
  const bool thrice = config_.embedding == MlpConfig::Embedding::tied && !operands_share_rows();
  return output_is_joined(batch.size()) && !b_out_.defined() && !thrice;
}

std::unique_ptr<GradientPass> gradient_pass(Model& model, const TaskSpec& spec, const Batch& batch) {
  auto* const mlp = dynamic_cast<Mlp*>(&model);
  if (!mlp || !mlp->gradients_fit(spec, batch)) return nullptr;
  return std::make_unique<Mlp::Gradients>(*mlp, spec, batch);
}

}  // namespace orrery
