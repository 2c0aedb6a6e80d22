// What the groups of neurons do with each input: how many are active, what they add to the logits, and the
// angle they answer with. Throughout, n is the order of the group, rows i*n + j stand for the pairs (i, j), m
// is the number of neurons, and members are indices of neurons, int64.
#pragma once

#include <orrery/recorder.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace neuron_waves {

/// The neurons of one frequency.
struct Group {
  int64_t frequency;
  torch::Tensor members;
  double logit_share = 1;  ///< what it accounts for of the logits
  std::string name() const { return "k=" + std::to_string(frequency); }
};

/// A pair of operands, by index.
struct Input {
  int64_t i, j;
  /// The pair in `given`, or where that is empty one that is neither small nor symmetric: n/3 and n/4. Throws
  /// orrery::UsageError if there are not two numbers, from 0 to n-1.
  static Input chosen(const std::vector<int64_t>& given, int64_t n);
};

/// Scalars "active_neurons/min", "max" and "mean": how many of `alive` have a pre-activation above 0, over
/// all pairs; and for each group. pre: [n*n, m].
void active_neurons(const torch::Tensor& pre, const torch::Tensor& alive, const std::vector<Group>& groups,
                    orrery::Recorder& recorder);

/// Groups that account for less of the logits do not count in "group_logits/correlation".
inline constexpr double kLeastLogitShare = 0.01;

/// What each group adds to the logits of one input, beside the wave cos w_k(i + j - c) that it should be.
/// post: [m], the activations there; output: [m, n], what one unit of each neuron adds to each class, without
/// its mean.
void group_logits(const torch::Tensor& post, const torch::Tensor& output, const std::vector<Group>& groups,
                  const Input& input, orrery::Recorder& recorder);

/// The figure of what each of `drawn` adds to the logits of one input; `names` are theirs.
void neuron_contributions(const torch::Tensor& post, const torch::Tensor& output, const torch::Tensor& drawn,
                          const std::vector<std::string>& names, const Input& input,
                          orrery::Recorder& recorder);

/// The figure of the input waves [m, n], one line for each of the `max_lines` largest neurons of each group.
void wave_lines(const torch::Tensor& waves, const torch::Tensor& size, const std::vector<Group>& groups,
                int64_t max_lines, orrery::Recorder& recorder);

/// The angle of the output of each group, less w_k(i + j), twice the angle half way between w_k i and w_k j
/// (Pearce et al. 2023, appendix A). post: [n*n, m]; star: [m, 2], the output waves at the neurons'
/// frequency.
void output_angles(const torch::Tensor& post, const torch::Tensor& star, const std::vector<Group>& groups,
                   int64_t n, orrery::Recorder& recorder);

}  // namespace neuron_waves
