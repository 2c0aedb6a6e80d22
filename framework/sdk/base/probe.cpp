#include <fmt/format.h>
#include <orrery/probe.h>

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

}  // namespace orrery
