#include "engine/experiment/pristine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace orrery::engine {
namespace {

int64_t writes_to(const torch::Tensor& tensor) { return tensor.is_inference() ? 0 : tensor._version(); }

bool same_place(const torch::Tensor& a, const torch::Tensor& b) {
  return a.data_ptr() == b.data_ptr() && a.sizes() == b.sizes() && a.strides() == b.strides() &&
         a.scalar_type() == b.scalar_type();
}

bool same_values(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.is_cpu() && a.is_non_overlapping_and_dense() && a.strides() == b.strides())
    return std::memcmp(a.data_ptr(), b.data_ptr(), a.nbytes()) == 0;
  return a.equal(b);
}

}  // namespace

Pristine::Kept Pristine::keep(std::string name, const torch::Tensor& tensor) {
  const torch::Tensor storage = tensor.detach();
  return {std::move(name), tensor, storage, storage.clone(), writes_to(tensor)};
}

void Pristine::keep(const std::string& name, const Batch& batch) {
  for (const auto& [part, tensor] : batch.tensors())
    kept_.push_back(keep(fmt::format("the data {}.{}", name, part), tensor));
}

Pristine::Pristine(Model& model, const Split& split) : model_(model), weights_(model.weights()) {
  torch::NoGradGuard no_grad;
  for (NamedWeight& weight : weights_) {
    kept_.push_back(keep(fmt::format("the weight \"{}\"", weight.name), weight.value));
    gradients_.push_back(std::exchange(weight.value.mutable_grad(), torch::Tensor()));
  }
  keep("train", split.train);
  keep("test", split.test);
  if (split.grid) keep("grid", *split.grid);
  for (const torch::Tensor* rows : {&split.train_rows, &split.test_rows})
    if (rows->defined()) kept_.push_back(keep("the rows of the grid", *rows));
  for (const auto& point : model.hook_points()) n_hooks_.push_back(point->n_hooks());
}

Pristine::~Pristine() {
  for (size_t i = 0; i < weights_.size(); ++i) weights_[i].value.mutable_grad() = gradients_[i];
}

bool Pristine::restore(Kept& kept) {
  const bool moved = !same_place(kept.tensor, kept.storage);
  if (moved) kept.tensor.set_data(kept.storage);
  const bool counted = writes_to(kept.tensor) != kept.version;
  const bool written = (counted || kept.storage.is_cpu()) && !same_values(kept.storage, kept.copy);
  if (written) kept.storage.copy_(kept.copy);
  kept.version = writes_to(kept.tensor);
  return moved || written;
}

std::string Pristine::restore_hooks() {
  std::string left;
  for (size_t i = 0; i < n_hooks_.size(); ++i) {
    HookPoint& point = *model_.hook_points()[i];
    if (point.n_hooks() > n_hooks_[i] && left.empty())
      left = fmt::format("the hooks on \"{}\"", point.name());
    point.drop_hooks_after(n_hooks_[i]);
  }
  return left;
}

std::string Pristine::restore() {
  torch::NoGradGuard no_grad;
  std::string changed;
  const auto keep_first = [&](std::string what) {
    if (changed.empty()) changed = std::move(what);
  };
  std::vector<NamedWeight>& now = model_.weights();
  const bool same_list = now.size() == weights_.size() &&
                         std::equal(now.begin(), now.end(), weights_.begin(), [](auto& a, auto& b) {
                           return a.name == b.name && a.value.is_same(b.value);
                         });
  if (!same_list) {
    keep_first("the list of the model's weights");
    now = weights_;
  }
  for (Kept& kept : kept_)
    if (restore(kept)) keep_first(kept.name);
  for (NamedWeight& weight : weights_) {
    if (!weight.value.requires_grad()) {
      keep_first(fmt::format("whether the weight \"{}\" takes gradients", weight.name));
      weight.value.set_requires_grad(true);
    }
    weight.value.mutable_grad() = torch::Tensor();
  }
  keep_first(restore_hooks());
  return changed;
}

WriteCounts::WriteCounts(const torch::Tensor& logits, const ActivationCache& cache) {
  if (logits.defined()) tensors_.emplace_back("the logits", logits);
  for (const std::string& name : cache.names())
    tensors_.emplace_back(fmt::format("the activation \"{}\"", name), cache[name]);
  for (const auto& [name, tensor] : tensors_) versions_.push_back(writes_to(tensor));
}

std::string WriteCounts::written() const {
  for (size_t i = 0; i < versions_.size(); ++i)
    if (writes_to(tensors_[i].second) != versions_[i]) return tensors_[i].first;
  return "";
}

}  // namespace orrery::engine
