// Three ways to a gradient, the fastest that fits: an MLP's without autograd, a fast pass under the fused
// cross-entropy, a fast pass under the run's own loss.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/fast_gradients.h>
#include <orrery/hooks.h>
#include <orrery/loss.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "sdk/base/losses.h"
#include "sdk/kernels/cross_entropy.h"
#include "sdk/model/gradient_pass.h"

namespace orrery {
namespace {

std::vector<size_t> weights_that_vary(const Model& model, const std::vector<std::string>& globs) {
  const std::vector<std::string> known = model.weight_names();
  const auto any = [&](const std::string& glob) {
    return std::any_of(known.begin(), known.end(),
                       [&](const std::string& name) { return matches(glob, name); });
  };
  for (const std::string& glob : globs)
    if (!any(glob))
      throw Error(fmt::format("the model has no weight \"{}\"{}", glob, did_you_mean(glob, known)),
                  fmt::format("the model has: {}", fmt::join(known, ", ")));
  std::vector<size_t> chosen;
  for (size_t i = 0; i < known.size(); ++i)
    if (std::any_of(globs.begin(), globs.end(),
                    [&](const std::string& glob) { return matches(glob, known[i]); }))
      chosen.push_back(i);
  if (chosen.empty()) throw Error("no weights are named", "give \"*\" for all");
  return chosen;
}

// Whether the run trains on the loss of its task as it stands, which the kernels compute: another loss, or
// scaled logits, differ at random logits of some size, in some class.
bool is_loss_of_the_task(const Observation& observation, const Batch& batch) {
  if (!observation.on_demand || !observation.on_demand->losses) return true;
  const torch::NoGradGuard no_grad;
  const int64_t n = std::min<int64_t>(batch.size(), 256);
  const Batch some = batch.rows(torch::arange(n, torch::kInt64));
  torch::Generator rng = make_generator(0);
  for (const double size : {0.1, 3.0, 30.0}) {
    const torch::Tensor logits =
        size * torch::randn({n, some.labels.size(1), observation.spec.d_vocab_out}, rng, torch::kFloat64);
    if (!observation.losses(logits, some).equal(each_loss(observation.spec, logits, some))) return false;
  }
  return true;
}

}  // namespace

struct LossGradient::Parts {
  Parts(const Observation& seen, Model& of, const std::vector<std::string>& globs)
      : observation(seen), model(of), chosen(weights_that_vary(of, globs)) {
    for (const size_t i : chosen) size += model.weights()[i].value.numel();
  }

  const Observation& observation;
  Model& model;
  std::vector<size_t> chosen;  // of Model::weights()
  int64_t size = 0;
  Batch batch;
  std::optional<bool> of_the_task;
  std::unique_ptr<GradientPass> without_autograd;
  std::unique_ptr<ReadOutPass> pass;

  torch::Tensor loss() const {
    const torch::Tensor logits = pass->logits();
    if (*of_the_task && kernels::cross_entropy_fits(observation.spec, batch, logits, torch::kFloat64))
      return kernels::cross_entropy(logits, batch);
    const torch::Tensor exact = logits.to(torch::kCPU).to(torch::kFloat64);
    return mean_over_labels(observation.losses(exact, batch), batch);
  }

  void define_gradients() {
    for (NamedWeight& weight : model.weights()) {
      torch::Tensor& gradient = weight.value.mutable_grad();
      if (!gradient.defined()) gradient = torch::zeros_like(weight.value);
    }
  }

  // Writes tensors of the shapes of the weights that vary into one vector.
  template <class Of>
  void flatten(const torch::Tensor& to, Of&& part) const {
    const torch::NoGradGuard no_grad;
    int64_t at = 0;
    for (size_t i = 0; i < chosen.size(); ++i) {
      const int64_t n = model.weights()[chosen[i]].value.numel();
      const torch::Tensor from = part(i);
      if (from.defined())
        to.narrow(0, at, n).copy_(from.reshape({-1}));
      else
        to.narrow(0, at, n).zero_();
      at += n;
    }
  }
};

LossGradient::LossGradient(const Observation& observation, Model& model,
                           const std::vector<std::string>& weights)
    : parts_(std::make_unique<Parts>(observation, model, weights)) {}
LossGradient::~LossGradient() = default;

void LossGradient::set_batch(Batch batch) {
  Parts& p = *parts_;
  if (batch.size() == 0) throw Error("a batch without examples has no loss", "look at the task's split()");
  p.without_autograd.reset();
  p.pass.reset();
  p.batch = std::move(batch);
  if (!p.of_the_task) p.of_the_task = is_loss_of_the_task(p.observation, p.batch);
  const torch::Device device = p.model.device();
  if (*p.of_the_task && device.is_cpu())
    p.without_autograd = gradient_pass(p.model, p.observation.spec, p.batch);
  if (p.without_autograd) p.define_gradients();
  ReadOutRequest request{p.batch.tokens.to(device), p.observation.spec.read_out};
  if (p.batch.scored.defined()) request.loss_mask = p.batch.scored.to(device);
  p.pass = read_out(p.model, request);
}

int64_t LossGradient::size() const { return parts_->size; }

std::vector<std::string> LossGradient::names() const {
  std::vector<std::string> names;
  for (const size_t i : parts_->chosen) names.push_back(parts_->model.weights()[i].name);
  return names;
}

torch::Tensor LossGradient::weights() const {
  const torch::Tensor w = torch::empty({parts_->size}, torch::kFloat32);
  parts_->flatten(w, [&](size_t i) { return parts_->model.weights()[parts_->chosen[i]].value.detach(); });
  return w;
}

void LossGradient::set_weights(const torch::Tensor& w) {
  const torch::NoGradGuard no_grad;
  int64_t at = 0;
  for (const size_t i : parts_->chosen) {
    torch::Tensor& value = parts_->model.weights()[i].value;
    value.copy_(w.narrow(0, at, value.numel()).view(value.sizes()));
    at += value.numel();
  }
}

double LossGradient::loss() {
  const torch::NoGradGuard no_grad;
  return parts_->loss().item<double>();
}

double LossGradient::loss_and_gradient(const torch::Tensor& gradient) {
  Parts& p = *parts_;
  if (p.without_autograd) {
    const double value = p.without_autograd->loss_and_gradients();
    if (std::isfinite(value))
      p.flatten(gradient, [&](size_t i) { return p.model.weights()[p.chosen[i]].value.grad(); });
    return value;
  }
  const torch::AutoGradMode with_gradients(true);
  const torch::Tensor loss = p.loss();
  const double value = loss.item<double>();
  if (!std::isfinite(value)) return value;
  std::vector<torch::Tensor> of;
  for (const size_t i : p.chosen) of.push_back(p.model.weights()[i].value);
  const std::vector<torch::Tensor> found =
      torch::autograd::grad({loss}, of, {}, /*retain_graph=*/false, /*create_graph=*/false,
                            /*allow_unused=*/true);
  p.flatten(gradient, [&](size_t i) { return found[i]; });
  return value;
}

}  // namespace orrery
