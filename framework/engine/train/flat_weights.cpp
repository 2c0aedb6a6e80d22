#include "engine/train/flat_weights.h"

namespace orrery::engine {

FlatWeights::FlatWeights(Model& model, torch::Dtype dtype) : model_(model) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> pieces;
  for (const NamedWeight& weight : model.weights()) pieces.push_back(weight.value.detach().reshape({-1}));
  torch::Tensor all = torch::cat(pieces);
  values_ = all.to(dtype);
  gradients_ = torch::zeros_like(values_);
  if (dtype == torch::kFloat64) rounded_ = std::move(all);
  give(is_wide() ? rounded_ : values_, is_wide() ? torch::Tensor() : gradients_);
}

// Makes the model's weights and their gradients views of these.
void FlatWeights::give(const torch::Tensor& values, const torch::Tensor& gradients) {
  torch::NoGradGuard no_grad;
  const auto each = unflatten(values);
  const auto each_gradient =
      gradients.defined() ? unflatten(gradients) : std::vector<std::pair<std::string, torch::Tensor>>();
  for (size_t i = 0; i < each.size(); ++i) {
    torch::Tensor& weight = model_.weights()[i].value;
    weight.mutable_grad() = torch::Tensor();
    weight.set_data(each[i].second);
    if (gradients.defined()) weight.mutable_grad() = each_gradient[i].second;
  }
}

std::vector<std::pair<std::string, torch::Tensor>> FlatWeights::unflatten(const torch::Tensor& flat) const {
  std::vector<std::pair<std::string, torch::Tensor>> cut;
  int64_t offset = 0;
  for (const NamedWeight& weight : model_.weights()) {
    cut.emplace_back(weight.name, flat.narrow(0, offset, weight.value.numel()).view(weight.value.sizes()));
    offset += weight.value.numel();
  }
  return cut;
}

FlatWeights::Wide::Wide(FlatWeights& weights) : weights_(weights) {
  if (weights_.is_wide()) weights_.give(weights_.values_, weights_.gradients_);
}

FlatWeights::Wide::~Wide() {
  if (!weights_.is_wide()) return;
  torch::NoGradGuard no_grad;
  weights_.rounded_.copy_(weights_.values_);
  weights_.give(weights_.rounded_, torch::Tensor());
}

}  // namespace orrery::engine
