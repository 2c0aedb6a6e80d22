#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/operands.h>

#include <limits>

namespace orrery {
namespace {

const CyclicStructure& cyclic_of(const Observation& observation) {
  if (!observation.structure.cyclic)
    throw UsageError(
        "the task declares no cyclic structure, so its inputs have no frequencies",
        "probe a task whose operation is addition in a cyclic group, such as modular_arithmetic with "
        "operation \"add\"");
  return *observation.structure.cyclic;
}

}  // namespace

CyclicView::CyclicView(const Observation& observation)
    : OperandGrid(OperandIndices(cyclic_of(observation)), observation), observation_(observation) {
  if (order() < 2) throw Error(fmt::format("a cyclic group of order {} has no frequencies", order()));
}

const NeuronSpectrum& CyclicView::neurons() const {
  if (neurons_) return *neurons_;
  const auto activations = inputs(neuron_activations(observation_, "hook_post").select(1, 0));
  neurons_ = neuron_spectrum(activations.view({order(), order(), activations.size(1)}));
  return *neurons_;
}

torch::Tensor CyclicView::embedding() const {
  return left(operand_embedding(observation_, indices().left_position()));
}

torch::Tensor CyclicView::embedding_norms() const { return fourier_norms(embedding()); }

const torch::Tensor& CyclicView::logit_coefficients() const {
  if (!logit_coefficients_.defined()) logit_coefficients_ = cosine_coefficients(classes(logits()));
  return logit_coefficients_;
}

torch::Tensor CyclicView::logit_shares() const {
  const auto scored = classes(logits());
  const double variance = (scored - scored.mean()).square().sum().item<double>();
  auto energy = logit_coefficients().square();
  energy[0] = 0;
  // The variance of equal logits is rounding noise.
  const double rounding = std::numeric_limits<double>::epsilon();
  const bool varies = variance > scored.square().sum().item<double>() * rounding * rounding;
  return varies ? energy / variance : torch::zeros_like(energy);
}

}  // namespace orrery
