#include <orrery/probe.h>

namespace orrery {

Probe::~Probe() = default;

void Probe::fit(const Observation&) {}

void Probe::conclude(const std::vector<Curve>&, Recorder&) {}

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
