#include "engine/train/optimizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <cmath>

#include "sdk/files/named_tensors.h"
#include "sdk/kernels/simd/dispatch.h"

namespace orrery::engine {

FlatWeights::FlatWeights(Model& model) : model_(model) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> pieces;
  for (const NamedWeight& weight : model.weights()) pieces.push_back(weight.value.detach().reshape({-1}));
  values_ = torch::cat(pieces);
  gradients_ = torch::zeros_like(values_);
  const auto values = unflatten(values_), gradients = unflatten(gradients_);
  for (size_t i = 0; i < values.size(); ++i) {
    model.weights()[i].value.set_data(values[i].second);
    model.weights()[i].value.mutable_grad() = gradients[i].second;
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

Optimizer::Optimizer(Model& model, const TrainSettings& settings)
    : flat_(model),
      settings_(settings),
      exp_avg_(torch::zeros_like(flat_.values())),
      exp_avg_sq_(torch::zeros_like(flat_.values())) {}

void Optimizer::step(double lr) {
  torch::NoGradGuard no_grad;
  ++updates_;
  penalise();
  if (settings_.optimizer == TrainSettings::Optimizer::sgd)
    sgd_step(lr);
  else if (settings_.kernel == TrainSettings::Kernel::automatic && flat_.values().device().is_cpu())
    fused_adam_step(lr);
  else
    adam_step(lr);
}

// Adds the gradients of the penalties.
void Optimizer::penalise() {
  torch::Tensor gradients = flat_.gradients();
  if (settings_.l1 > 0) gradients.add_(flat_.values().sign(), settings_.l1);
  if (settings_.optimizer != TrainSettings::Optimizer::adamw && settings_.weight_decay > 0)
    gradients.add_(flat_.values(), settings_.weight_decay);
}

void Optimizer::adam_step(double lr) {
  torch::Tensor values = flat_.values();
  const torch::Tensor gradients = flat_.gradients();
  const double beta1 = settings_.betas.at(0), beta2 = settings_.betas.at(1);
  if (settings_.optimizer == TrainSettings::Optimizer::adamw) values.mul_(1 - lr * settings_.weight_decay);
  exp_avg_.mul_(beta1).add_(gradients, 1 - beta1);
  exp_avg_sq_.mul_(beta2).addcmul_(gradients, gradients, 1 - beta2);
  const double correction1 = 1 - std::pow(beta1, static_cast<double>(updates_));
  const double correction2 = 1 - std::pow(beta2, static_cast<double>(updates_));
  const torch::Tensor denominator = exp_avg_sq_.sqrt().div_(std::sqrt(correction2)).add_(settings_.eps);
  values.addcdiv_(exp_avg_, denominator, -lr / correction1);
}

void Optimizer::fused_adam_step(double lr) {
  const double beta1 = settings_.betas.at(0), beta2 = settings_.betas.at(1);
  const double t = static_cast<double>(updates_);
  const double decay =
      settings_.optimizer == TrainSettings::Optimizer::adamw ? 1 - lr * settings_.weight_decay : 1;
  const kernels::AdamUpdate update = {.decay = static_cast<float>(decay),
                                      .beta1 = static_cast<float>(beta1),
                                      .new1 = static_cast<float>(1 - beta1),
                                      .beta2 = static_cast<float>(beta2),
                                      .new2 = static_cast<float>(1 - beta2),
                                      .eps = static_cast<float>(settings_.eps),
                                      .rate = static_cast<float>(lr / (1 - std::pow(beta1, t))),
                                      .correction = static_cast<float>(std::sqrt(1 - std::pow(beta2, t)))};
  const torch::Tensor values = flat_.values();
  kernels::loops().adam(values.numel(), update, flat_.gradients().data_ptr<float>(), values.data_ptr<float>(),
                        exp_avg_.data_ptr<float>(), exp_avg_sq_.data_ptr<float>());
}

void Optimizer::sgd_step(double lr) {
  exp_avg_.mul_(settings_.momentum).add_(flat_.gradients());
  flat_.values().add_(exp_avg_, -lr);
}

// The moments of this optimiser, by name.
std::vector<std::pair<std::string, torch::Tensor>> Optimizer::moments() const {
  if (settings_.optimizer == TrainSettings::Optimizer::sgd) return {{"momentum", exp_avg_}};
  return {{"exp_avg", exp_avg_}, {"exp_avg_sq", exp_avg_sq_}};
}

std::vector<std::pair<std::string, torch::Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, torch::Tensor>> all;
  for (const auto& [moment, flat] : moments())
    for (const auto& [name, tensor] : flat_.unflatten(flat)) all.emplace_back(moment + "/" + name, tensor);
  all.emplace_back("updates", torch::tensor(updates_, torch::kInt64));
  return all;
}

void Optimizer::restore(const std::vector<std::pair<std::string, torch::Tensor>>& state) {
  torch::NoGradGuard no_grad;
  for (const auto& [moment, flat] : moments())
    for (auto& [name, tensor] : flat_.unflatten(flat)) copy_named(state, moment + "/" + name, tensor);
  updates_ = find_named(state, "updates").item<int64_t>();
}

}  // namespace orrery::engine
