// Interchange interventions: does the subspace S at a site of the network carry a variable V? An input, the
// base, is run with the coordinates in S taken from the run of another, the source. If S carries V, the
// network must answer as the task would if V alone were the source's (Geiger et al. 2021, "Causal
// abstractions of neural networks", arXiv 2106.02997; with subspaces: Geiger et al. 2023, "Finding alignments
// between interpretable causal variables and distributed neural representations", arXiv 2303.02536).
//
// Functions here run the plain forward pass, in pieces, on the device of the model, and hook it: use one
// model from one thread at a time. Variables that come ready for the structure of a task are in
// orrery/interchange_variables.h.
#pragma once

#include <orrery/export.h>
#include <orrery/hooks.h>
#include <orrery/model.h>
#include <orrery/task.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace orrery {

/// A place in the network. What is there is read as [batch, positions, features]: features are the entries of
/// all dimensions but the batch and the position, in row-major order. An activation of the whole input
/// (HookPoint::position_dim() is -1) has one position.
struct InterchangeSite {
  /// Hook points, by glob; all that match are exchanged in the same pass. Or "logits", at the output
  /// positions.
  std::string hook = "logits";
  Positions positions = Positions::read_out;
  int64_t position = -1;  ///< from 0 on: this position of the context alone, whatever `positions` says
  /// With dim >= 1 only this entry of that dimension: {2, 3} is head 3 of a hook_z, {1, 0} the first operand
  /// of an mlp's hook_embed.
  int64_t dim = -1, entry = -1;
};

/// The labels that the task would give if the variable alone were the source's: rows of the inputs, base
/// [pairs] and source [pairs] int64, to [pairs, n_read] int64; -1 where the variable says nothing.
using CounterfactualLabels =
    std::function<torch::Tensor(const torch::Tensor& base, const torch::Tensor& source)>;

/// What is tested: that `directions` at `site` carry the variable of `labels`.
struct Hypothesis {
  std::string name;  ///< "result/blocks.0.mlp.hook_post"
  InterchangeSite site = {};
  /// [m, features], orthonormal rows; the same at every position. m may be 0, which exchanges nothing.
  /// Undefined: the whole activation is exchanged.
  torch::Tensor directions = {};
  CounterfactualLabels labels = {};
  /// Those of other variables, which the same exchange should not set.
  std::vector<CounterfactualLabels> others = {};
};

/// Rows of the inputs: [pairs] int64 each.
struct InterchangePairs {
  torch::Tensor base, source;
};
/// `n_pairs` pairs of different rows, each drawn evenly and with replacement from all n (n - 1). Throws
/// orrery::UsageError for fewer than two inputs.
ORRERY_API InterchangePairs sampled_pairs(int64_t n_inputs, int64_t n_pairs, torch::Generator rng);
/// All n (n - 1) ordered pairs of different rows, base by base. Throws orrery::UsageError for fewer than two
/// inputs, and above 2^24 pairs.
ORRERY_API InterchangePairs all_pairs(int64_t n_inputs);

/// A label counts if the hypothesis gives it a counterfactual one (not -1) that differs from the base's own
/// label, and if the base's is not masked (Batch::scored). Where both labels are the same nothing could be
/// learned: a network that ignores the exchange would score.
struct InterchangeScore {
  int64_t counted = 0;  ///< labels that count
  double accuracy = 0;  ///< interchange accuracy: share of them that are the largest logit; NaN if none count
  double kept = 0;      ///< share of them at which the base's own label is still the largest logit
  /// Mean over them of logit[counterfactual label] - logit[the base's label], after the exchange and before.
  double logit_difference = 0, logit_difference_before = 0;
  /// The largest accuracy, by the same rule, of the labels in Hypothesis::others on the same exchanged
  /// logits; NaN if there are none.
  double other_accuracy = 0;
};
struct InterchangeScores {
  double base_accuracy = 0;  ///< of the bases, without an exchange; NaN if all their labels are masked
  std::vector<InterchangeScore> hypotheses;  ///< in their order
};

/// Tests hypotheses on pairs of `inputs` (on the CPU). The activations of the sources are computed once for
/// all hypotheses. Of equal logits the first counts as the largest. Throws orrery::UsageError, naming the
/// hypothesis, for a site that the model does not have, directions that do not fit it or are not orthonormal,
/// activations there that are not finite (unless they are exchanged whole), a task of one logit, and without
/// pairs.
ORRERY_API InterchangeScores interchange(Model& model, const TaskSpec& spec, const Batch& inputs,
                                         const std::vector<Hypothesis>& hypotheses,
                                         const InterchangePairs& pairs);

/// Functions of the input, for which directions are sought at a site that names one hook point.
struct Regression {
  InterchangeSite site = {};
  torch::Tensor functions;  ///< [m, inputs] of any real dtype
};
/// For each regression the span of the coefficients of activation = constant + functions, by least squares
/// over all `inputs`: orthonormal rows [rank, features] float64 on the CPU, rank <= m. For cos w_k(a + b) and
/// sin w_k(a + b) they are the directions along which the activation turns with w_k(a + b). A site with
/// several positions has the span of the coefficients at each. The rank is 0 where the activation does not
/// depend on the functions at all. Throws what interchange() throws for sites, and orrery::UsageError for
/// functions of another number of inputs or that are not finite.
ORRERY_API std::vector<torch::Tensor> regression_directions(Model& model, const TaskSpec& spec,
                                                            const Batch& inputs,
                                                            const std::vector<Regression>& regressions);

/// An orthonormal basis of a random subspace: [m, d] float64, evenly distributed; draws from `rng`. Throws
/// orrery::Error unless 0 <= m <= d.
ORRERY_API torch::Tensor random_directions(int64_t m, int64_t d, torch::Generator rng);

/// The principal angles between the spans of two orthonormal bases [m, d] and [k, d], in radians, ascending:
/// min(m, k) of them, 0 where the spans share a direction, pi/2 where they are orthogonal.
ORRERY_API torch::Tensor principal_angles(const torch::Tensor& a, const torch::Tensor& b);

/// How a subspace is searched.
struct AlignmentSearch {
  int64_t dimension = 1;  ///< of the subspace
  int64_t steps = 200;    ///< of Adam
  int64_t batch = 256;    ///< pairs in a step
  double lr = 0.02;
  uint64_t seed = 0;  ///< of the subspace it starts from and of the order of the pairs
};
struct Alignment {
  torch::Tensor directions;    ///< [dimension, features] float64, orthonormal
  std::vector<double> losses;  ///< of each step, in nats
};
/// Distributed alignment search (Geiger et al. 2023): the directions at the site of `hypothesis` (whose own
/// are not looked at) that make the network answer its counterfactual labels, by gradient descent on the
/// cross-entropy of the labels that count, over `pairs`. Only the basis is trained, an orthonormal one (QR);
/// no weight changes or gets a gradient. Test the result on other pairs. Throws what interchange() throws,
/// and orrery::UsageError if the site is "logits", if no label counts, or if the dimension is not in 1 to the
/// number of features.
ORRERY_API Alignment distributed_alignment_search(Model& model, const TaskSpec& spec, const Batch& inputs,
                                                  const Hypothesis& hypothesis, const InterchangePairs& pairs,
                                                  const AlignmentSearch& search);

}  // namespace orrery
