// How alike two networks represent the same inputs, where their inputs coincide.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"

namespace orrery::engine {

/// One place of both networks. The null is the same number between two networks of these architectures at
/// random weights, drawn apart.
struct SiteSimilarity {
  std::string site;  ///< a hook point at the read-out positions, "logits", or "embed.W_E"
  double cka = 0, cka_null = 0;
  /// Dimensions of the leading principal components, which hold 99 % of the variance, in each.
  int64_t dims_a = 0, dims_b = 0;
  /// The principal angles between these two subspaces of functions of the input, in degrees, ascending.
  std::vector<double> angles;
  /// The sum of cos^2 of the angles over the larger dimension: 1 where the subspaces are equal, 0 where they
  /// are orthogonal.
  double shared = 0, shared_null = 0;
};

struct ActivationComparison {
  std::string inputs;   ///< "the 3,481 pairs, by index in the cyclic group"
  std::string why_not;  ///< why there is no comparison; then the rest is empty
  std::vector<SiteSimilarity> sites;
};

/// Compares the models as they are. `globs`: hook points, by glob; those of one name in both networks are
/// compared; the logits always, and embed.W_E where the task is cyclic. Inputs coincide where
///   both tasks are cyclic of one order: the pair of indices (i, j) of one is that of the other, so that
///     addition, subtraction and multiplication meet after renaming (orrery/structure.h);
///   both tasks are the same, with the same vocabulary and token layout: every input, or the test inputs of
///     the first where there are too many.
/// Throws orrery::UsageError if a glob matches nothing in a network.
ActivationComparison compare_activations(Experiment& a, Experiment& b, const std::vector<std::string>& globs);

}  // namespace orrery::engine
