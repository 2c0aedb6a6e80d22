#include "engine/train/optimizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <cmath>

#include "sdk/files/named_tensors.h"
#include "sdk/kernels/simd/dispatch.h"

namespace orrery::engine {

namespace {

torch::Tensor part(const torch::Tensor& flat, const WeightRange& range) {
  return flat.narrow(0, range.begin, range.size);
}

}  // namespace

Optimizer::Optimizer(const FlatWeights& flat, const TrainSettings& settings, std::vector<WeightRange> ranges)
    : flat_(flat),
      settings_(settings),
      ranges_(std::move(ranges)),
      exp_avg_(torch::zeros_like(flat.values())),
      exp_avg_sq_(torch::zeros_like(flat.values())) {}

void Optimizer::step(double factor) {
  torch::NoGradGuard no_grad;
  ++updates_;
  for (const WeightRange& range : ranges_) step(range, range.lr * factor);
}

void Optimizer::step(const WeightRange& range, double lr) {
  penalise(range);
  if (settings_.optimizer == TrainSettings::Optimizer::sgd)
    sgd_step(range, lr);
  else if (settings_.kernel == TrainSettings::Kernel::automatic && flat_.values().device().is_cpu() &&
           !flat_.is_wide())
    fused_adam_step(range, lr);
  else
    adam_step(range, lr);
}

// Adds the gradients of the penalties.
void Optimizer::penalise(const WeightRange& range) {
  torch::Tensor gradients = part(flat_.gradients(), range);
  if (settings_.l1 > 0) gradients.add_(part(flat_.values(), range).sign(), settings_.l1);
  if (settings_.optimizer != TrainSettings::Optimizer::adamw && range.weight_decay > 0)
    gradients.add_(part(flat_.values(), range), range.weight_decay);
}

void Optimizer::adam_step(const WeightRange& range, double lr) {
  torch::Tensor values = part(flat_.values(), range), exp_avg = part(exp_avg_, range),
                exp_avg_sq = part(exp_avg_sq_, range);
  const torch::Tensor gradients = part(flat_.gradients(), range);
  const double beta1 = settings_.betas.at(0), beta2 = settings_.betas.at(1);
  if (settings_.optimizer == TrainSettings::Optimizer::adamw) values.mul_(1 - lr * range.weight_decay);
  exp_avg.mul_(beta1).add_(gradients, 1 - beta1);
  exp_avg_sq.mul_(beta2).addcmul_(gradients, gradients, 1 - beta2);
  const double correction1 = 1 - std::pow(beta1, static_cast<double>(updates_));
  const double correction2 = 1 - std::pow(beta2, static_cast<double>(updates_));
  const torch::Tensor denominator = exp_avg_sq.sqrt().div_(std::sqrt(correction2)).add_(settings_.eps);
  values.addcdiv_(exp_avg, denominator, -lr / correction1);
}

void Optimizer::fused_adam_step(const WeightRange& range, double lr) {
  const double beta1 = settings_.betas.at(0), beta2 = settings_.betas.at(1);
  const double t = static_cast<double>(updates_);
  const double decay =
      settings_.optimizer == TrainSettings::Optimizer::adamw ? 1 - lr * range.weight_decay : 1;
  const kernels::AdamUpdate update = {.decay = static_cast<float>(decay),
                                      .beta1 = static_cast<float>(beta1),
                                      .new1 = static_cast<float>(1 - beta1),
                                      .beta2 = static_cast<float>(beta2),
                                      .new2 = static_cast<float>(1 - beta2),
                                      .eps = static_cast<float>(settings_.eps),
                                      .rate = static_cast<float>(lr / (1 - std::pow(beta1, t))),
                                      .correction = static_cast<float>(std::sqrt(1 - std::pow(beta2, t)))};
  const torch::Tensor values = flat_.values();
  kernels::loops().adam(range.size, update, flat_.gradients().data_ptr<float>() + range.begin,
                        values.data_ptr<float>() + range.begin, exp_avg_.data_ptr<float>() + range.begin,
                        exp_avg_sq_.data_ptr<float>() + range.begin);
}

void Optimizer::sgd_step(const WeightRange& range, double lr) {
  torch::Tensor momentum = part(exp_avg_, range);
  momentum.mul_(settings_.momentum).add_(part(flat_.gradients(), range));
  part(flat_.values(), range).add_(momentum, -lr);
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
