#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/operands.h>

#include <limits>

#include "sdk/analysis/by_element.h"

namespace orrery {
namespace {

// f(x), unless it would be a copy of x: where f(indices) are the indices 0, 1, ... of x along `dim`.
template <class LayOut>
torch::Tensor in_order(const torch::Tensor& x, int64_t dim, LayOut&& f) {
  const auto indices = torch::arange(x.size(dim), torch::kInt64);
  return f(indices).equal(indices) ? x : f(x);
}

const CyclicStructure& cyclic_of(const Observation& observation) {
  if (!observation.structure.cyclic)
    throw UsageError(
        "the task declares no cyclic structure, so its inputs have no frequencies",
        "probe a task whose operation is addition in a cyclic group, such as modular_arithmetic with "
        "operation \"add\"");
  return *observation.structure.cyclic;
}

// The logits of the classes that have an index, by index.
torch::Tensor scored_logits(const CyclicView& view) {
  return in_order(view.logits(), 1, [&view](const torch::Tensor& x) { return view.classes(x); });
}

}  // namespace

CyclicView::CyclicView(const Observation& observation)
    : OperandGrid(OperandIndices(cyclic_of(observation)), observation), observation_(observation) {
  if (order() < 2) throw Error(fmt::format("a cyclic group of order {} has no frequencies", order()));
}

const NeuronSpectrum& CyclicView::neurons() const {
  if (neurons_) return *neurons_;
  const auto activations = in_order(neuron_activations(observation_, "hook_post").select(1, 0), 0,
                                    [this](const torch::Tensor& x) { return inputs(x); });
  neurons_ = neuron_spectrum(activations.view({order(), order(), activations.size(1)}));
  return *neurons_;
}

torch::Tensor CyclicView::embedding() const {
  return left(operand_embedding(observation_, indices().left_position()));
}

torch::Tensor CyclicView::embedding_norms() const { return fourier_norms(embedding()); }

const torch::Tensor& CyclicView::logit_coefficients() const {
  if (!logit_coefficients_.defined()) logit_coefficients_ = cosine_coefficients(scored_logits(*this));
  return logit_coefficients_;
}

torch::Tensor CyclicView::logit_shares() const {
  const Squares squares = sums_of_squares(scored_logits(*this));
  auto energy = logit_coefficients().square();
  energy[0] = 0;
  // The variance of equal logits is rounding noise.
  const double rounding = std::numeric_limits<double>::epsilon();
  const bool varies = squares.about_mean > squares.as_they_are * rounding * rounding;
  return varies ? energy / squares.about_mean : torch::zeros_like(energy);
}

}  // namespace orrery
