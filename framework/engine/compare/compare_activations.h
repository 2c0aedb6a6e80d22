// How similarly two networks represent the inputs that they share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"

namespace orrery::engine {

/// One site of both networks. The null is the same number for two networks of these architectures with
/// independent random weights.
struct SiteSimilarity {
  std::string site;  ///< a hook point at the output positions, "logits", or "embed.W_E"
  double cka = 0, cka_null = 0;
  /// The number of leading principal components that hold 99 % of the variance, in each.
  int64_t dims_a = 0, dims_b = 0;
  /// The principal angles between the two subspaces (of functions of the input), in degrees, ascending.
  std::vector<double> angles;
  /// The sum of cos^2 of the angles divided by the larger dimension: 1 for equal subspaces, 0 for orthogonal
  /// ones.
  double shared = 0, shared_null = 0;
};

struct ActivationComparison {
  std::string inputs;   ///< "the 3,481 pairs, by index in the cyclic group"
  std::string why_not;  ///< why there is no comparison; if set, the rest is empty
  std::vector<SiteSimilarity> sites;
};

/// Compares the models with their present weights: the hook points that match `globs` and that both networks
/// have, the logits, and, if the task is cyclic, embed.W_E. Two networks share inputs if
///   both tasks are cyclic of the same order: inputs are matched by their pairs of indices (i, j), so
///   addition,
///     subtraction and multiplication are comparable after renaming (orrery/structure.h);
///   both tasks are the same, with the same vocabulary and token layout: every input, or, if there are too
///   many,
///     the test inputs of the first.
/// Throws orrery::UsageError if a glob matches nothing in a network.
ActivationComparison compare_activations(Experiment& a, Experiment& b, const std::vector<std::string>& globs);

}  // namespace orrery::engine
