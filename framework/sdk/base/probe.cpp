#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/probe.h>
#include <orrery/transformer.h>

#include "sdk/base/losses.h"

namespace orrery {

Probe::~Probe() = default;

void Probe::fit(const Observation&) {}

void Probe::conclude(const History&, Recorder&) {}

std::string refuse_other_losses(const Model&, const TaskSpec& spec) {
  if (spec.loss != Loss::cross_entropy)
    return fmt::format("it measures cross-entropies, and the task is trained on the loss {}",
                       to_string(spec.loss));
  if (spec.label_smoothing != 0)
    return fmt::format("it measures plain cross-entropies, and the task smooths its labels by {}",
                       spec.label_smoothing);
  return "";
}

std::string to_string(Inputs inputs) {
  switch (inputs) {
    case Inputs::grid:
      return "grid";
    case Inputs::train:
      return "train";
    case Inputs::test:
      return "test";
    case Inputs::none:
      return "none";
  }
  return "unknown";
}

torch::Tensor Observation::weight(const std::string& name) const {
  const torch::Tensor weight = model.weight(name).detach();
  return weight.is_cpu() ? weight.clone() : weight.to(torch::kCPU);
}

torch::Tensor Observation::losses(const torch::Tensor& logits, const Batch& inputs) const {
  return on_demand && on_demand->losses ? on_demand->losses(logits, inputs) : each_loss(spec, logits, inputs);
}

Batch Observation::corrupted(const Batch& clean, torch::Generator rng) const {
  return on_demand && on_demand->corrupted ? on_demand->corrupted(clean, std::move(rng))
                                           : corrupted_by_default(clean, split, structure, std::move(rng));
}

namespace {

std::unique_ptr<Model> remade(const Observation& observation, uint64_t seed) {
  const TransformerConfig* config = observation.model.transformer_config();
  if (!config)
    throw Error("a copy of this network is the host's to make, and there is no host here",
                "in a test, set OnDemand::copy_of_model and OnDemand::random_model");
  auto model = make_transformer(*config, observation.spec, make_generator(seed));
  model->to(observation.model.device());
  return model;
}

}  // namespace

std::unique_ptr<Model> Observation::copy_of_model() const {
  if (on_demand && on_demand->copy_of_model) return on_demand->copy_of_model();
  auto copy = remade(*this, 0);
  torch::NoGradGuard no_grad;
  for (NamedWeight& weight : copy->weights()) weight.value.copy_(model.weight(weight.name));
  return copy;
}

std::unique_ptr<Model> Observation::random_model(int64_t draw) const {
  return on_demand && on_demand->random_model ? on_demand->random_model(draw) : remade(*this, 1 + draw);
}

}  // namespace orrery
