// Neurons replaced by what their own frequency explains of them (Nanda & Lieberum 2022): each, a function of
// the pair (i, j), by its part along the nine functions {1, cos w_k i, sin w_k i} x {1, cos w_k j, sin w_k
// j}.
#pragma once

#include <orrery/probe.h>
#include <orrery/subspace.h>

#include <cstdint>
#include <string>
#include <vector>

namespace subspace_loss {

/// The frequency of each neuron with the largest share of its variance, and that share. Both are 0 for a
/// neuron that is constant.
struct OwnFrequencies {
  torch::Tensor frequency;  ///< [m] int64
  torch::Tensor share;      ///< [m] float64
};
/// neurons: [n*n, m], row i*n + j.
OwnFrequencies own_frequencies(const torch::Tensor& neurons);

/// For each entry of `own` [m] one of the other frequencies 1..floor(n/2), at random but always the same.
/// There have to be two.
torch::Tensor other_frequencies(const torch::Tensor& own, int64_t n);

/// Neurons [n*n, m] on the nine functions of `frequency` [m], of each its own; 0 leaves the mean. Returns
/// [n*n, m] float64.
torch::Tensor at_frequencies(const torch::Tensor& neurons, const torch::Tensor& frequency);

/// Which neurons are replaced, and how; see orrery::SubspaceCut.
struct Replacement {
  std::vector<std::string> hook_points;
  orrery::Part part = orrery::Part::keep;
  orrery::Bias bias = orrery::Bias::none;
  orrery::Positions positions = orrery::Positions::read_out;
  bool other_frequency = false;  ///< each at one of the others: the null
};

/// The network with its neurons replaced.
struct Replaced {
  torch::Tensor logits;  ///< [n*n, classes] float64
  OwnFrequencies own;    ///< of all neurons that were replaced, as they were
};
Replaced replace_neurons(const Replacement& how, const orrery::LaidOutInputs& inputs,
                         const orrery::Observation& observation);

/// Scalars PREFIX/train, PREFIX/test and PREFIX/all: the share of pairs whose largest logit is that of the
/// answer. logits: [n*n, classes].
void record_accuracies(const std::string& prefix, const torch::Tensor& logits,
                       const orrery::OperandGrid& grid, const orrery::Observation& observation,
                       orrery::Recorder& recorder);
/// What the nine functions explain of each neuron that is not constant: scalars "variance_explained/..." and
/// a histogram.
void record_shares(const OwnFrequencies& own, orrery::Recorder& recorder);

}  // namespace subspace_loss
