// The MLP's gradients by hand: the table of its first layer, the kernels between the table and the loss, and
// the chain rule back to the weights. The order of every sum is that of mlp_read_out.cpp under autograd.
#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>
#include <optional>
#include <vector>

#include "sdk/kernels/cross_entropy.h"
#include "sdk/kernels/simd/dispatch.h"
#include "sdk/model/gradient_pass.h"
#include "sdk/model/mlp_table.h"

namespace orrery {

namespace {

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
  double few_outputs();
  double many_outputs();
  void table_gradients();
  void embedding_gradients(size_t operand, const torch::Tensor& d_rows);
  void output_gradients();
  // a b, written to or added to `to`.
  static void put_product(const torch::Tensor& to, const torch::Tensor& a, const torch::Tensor& b, bool add);
  static torch::Tensor& gradient(const torch::Tensor& weight) { return weight.mutable_grad(); }
  Mlp& mlp_;
  Table table_;
  const int64_t n_examples_, n_neurons_, n_out_;
  kernels::LabelledLoss loss_{};
  double n_counted_;
  torch::Tensor labels_, counts_;
  std::optional<SparseFactor> bits_of_patterns_;
  // The gradients of the table and of the matrix after it, the second perhaps with a stride.
  torch::Tensor d_table_, d_W_;
  torch::Tensor padded_W_, d_padded_W_, pre_, d_pre_, logits_, d_logits_;  // many outputs: of all examples
  torch::Tensor query_, base_, d_base_;                                    // constants and scratch
};

Mlp::Gradients::Gradients(Mlp& mlp, const TaskSpec& spec, const Batch& batch)
    : mlp_(mlp),
      table_(mlp, batch.tokens),
      n_examples_(batch.size()),
      n_neurons_(mlp.config_.d_mlp),
      n_out_(mlp.d_vocab_out_),
      labels_(batch.labels.contiguous()) {
  check_range(labels_, spec.loss == Loss::hinge ? 2 : n_out_, "label");
  if (batch.scored.defined()) counts_ = batch.scored.contiguous();
  n_counted_ = static_cast<double>(counts_.defined() ? counts_.sum().item<int64_t>() : labels_.numel());
  loss_ = {spec.loss == Loss::hinge, labels_.data_ptr<int64_t>(),
           counts_.defined() ? counts_.data_ptr<bool>() : nullptr, 1 / n_counted_};
  if (mlp.has_bits()) bits_of_patterns_.emplace(mlp.patterns().t());
  d_table_ = torch::zeros_like(table_.values());
  if (n_out_ <= kernels::few_outputs) {
    d_W_ = torch::empty({n_neurons_, n_out_});
    if (mlp.b_out_.defined()) d_logits_ = torch::empty({n_examples_, n_out_});
    return;
  }
  padded_W_ = torch::zeros({n_neurons_, kernels::loops().padded(n_out_)});
  d_padded_W_ = torch::empty_like(padded_W_);
  d_W_ = d_padded_W_.narrow(1, 0, n_out_);
  pre_ = torch::empty({n_examples_, d_table_.size(1)});
  d_pre_ = torch::zeros_like(pre_);
  logits_ = torch::empty({n_examples_, n_out_});
  d_logits_ = torch::empty_like(logits_);
  query_ = torch::zeros({n_examples_}, torch::kInt32);
  base_ = torch::zeros({d_table_.size(1)});
  d_base_ = torch::empty_like(base_);
}

double Mlp::Gradients::loss_and_gradients() {
  torch::NoGradGuard no_grad;
  table_.write();
  const double loss = n_out_ <= kernels::few_outputs ? few_outputs() : many_outputs();
  if (!std::isfinite(loss)) return loss;
  table_gradients();
  output_gradients();
  return loss;
}

double Mlp::Gradients::few_outputs() {
  return kernels::loops().few_outputs_gradients(table_.network(), loss_, d_table_.data_ptr<float>(),
                                                d_W_.data_ptr<float>(),
                                                d_logits_.defined() ? d_logits_.data_ptr<float>() : nullptr) /
         n_counted_;
}

double Mlp::Gradients::many_outputs() {
  const kernels::Loops& loops = kernels::loops();
  const kernels::FoldedSum rows = {.n_examples = n_examples_,
                                   .n_heads = 1,
                                   .n_keys = table_.rows().size(1),
                                   .n_rowed = table_.rows().size(1),
                                   .n_distinct = d_table_.size(0),
                                   .n_queries = 1,
                                   .width = d_table_.size(1),
                                   .index = table_.rows().data_ptr<int32_t>(),
                                   .query = query_.data_ptr<int32_t>(),
                                   .pattern = nullptr,
                                   .table = table_.values().data_ptr<float>(),
                                   .base = base_.data_ptr<float>(),
                                   .ld_out = d_table_.size(1)};
  padded_W_.narrow(1, 0, n_out_).copy_(table_.W());
  const kernels::ReluProduct product = {
      n_examples_, n_neurons_, n_out_, pre_.data_ptr<float>(), pre_.size(1), padded_W_.data_ptr<float>()};
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
  if (mlp_.has_bits()) bits_of_patterns_->times(table_.part(d_table_, 0), gradient(mlp_.W_in_[0]));
  for (int64_t i = 0; !mlp_.has_bits() && i < table_.n_parts(); ++i) {
    const torch::Tensor d_rows = table_.part(d_table_, i);
    if (mlp_.reads_tokens())
      gradient(mlp_.W_in_[i]).copy_(d_rows);
    else
      embedding_gradients(static_cast<size_t>(i), d_rows);
  }
  if (mlp_.b_in_.defined()) gradient(mlp_.b_in_).copy_(table_.bias_row(d_table_));
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
  if (batch.size() == 0 || spec.read_out.size() != 1 || !is_one_table(batch.tokens)) return false;
  const bool known_loss = spec.loss == Loss::hinge
                              ? d_vocab_out_ == 1 && !batch.weights.defined()
                              : kernels::cross_entropy_fits(spec, batch, W_out_, torch::kFloat64);
  // Autograd adds three gradients of one weight in an order of its own.
  const bool thrice =
      !writes_logits() && config_.embedding == MlpConfig::Embedding::tied && !operands_share_rows();
  return known_loss && !thrice;
}

std::unique_ptr<GradientPass> gradient_pass(Model& model, const TaskSpec& spec, const Batch& batch) {
  auto* const mlp = dynamic_cast<Mlp*>(&model);
  if (!mlp || !mlp->gradients_fit(spec, batch)) return nullptr;
  return std::make_unique<Mlp::Gradients>(*mlp, spec, batch);
}

}  // namespace orrery
