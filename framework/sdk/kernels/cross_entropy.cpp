#include "sdk/kernels/cross_entropy.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <torch/csrc/autograd/custom_function.h>

#include "sdk/kernels/simd/dispatch.h"

namespace orrery::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void check_labels(const torch::Tensor& labels, int64_t n_classes) {
  const int64_t* const label = labels.data_ptr<int64_t>();
  for (int64_t i = 0; i < labels.numel(); ++i)
    if (label[i] < 0 || label[i] >= n_classes)
      throw Error(fmt::format("a label is {}; expected one of the {} classes", label[i], n_classes),
                  "look at the task that made the batch");
}

class CrossEntropy final : public torch::autograd::Function<CrossEntropy> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& logits, const Batch& batch) {
    const torch::Tensor rows = logits.contiguous(), labels = batch.labels.contiguous();
    check_labels(labels, rows.size(-1));
    const torch::Tensor counts = batch.scored.defined() ? batch.scored.contiguous() : torch::Tensor();
    const double n = counts.defined() ? static_cast<double>(counts.sum().item<int64_t>())
                                      : static_cast<double>(labels.numel());
    const torch::Tensor gradient = logits.requires_grad() ? torch::empty_like(rows) : torch::Tensor();
    const double sum = loops().cross_entropy(labels.numel(), rows.size(-1), rows.data_ptr<float>(),
                                             labels.data_ptr<int64_t>(),
                                             counts.defined() ? counts.data_ptr<bool>() : nullptr, 1 / n,
                                             gradient.defined() ? gradient.data_ptr<float>() : nullptr);
    context->saved_data["gradient"] = gradient;
    return torch::scalar_tensor(sum / n, torch::kFloat64);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const torch::Tensor gradient = context->saved_data["gradient"].toTensor();
    const double factor = gradients[0].item<double>();
    return {factor == 1 ? gradient : gradient * factor, torch::Tensor()};
  }
};

}  // namespace

bool cross_entropy_fits(const TaskSpec& spec, const Batch& batch, const torch::Tensor& logits,
                        torch::Dtype dtype) {
  return spec.loss == Loss::cross_entropy && spec.label_smoothing == 0 && !batch.weights.defined() &&
         dtype == torch::kFloat64 && logits.device().is_cpu() && logits.scalar_type() == torch::kFloat32;
}

torch::Tensor cross_entropy(const torch::Tensor& logits, const Batch& batch) {
  return CrossEntropy::apply(logits, batch);
}

}  // namespace orrery::kernels
