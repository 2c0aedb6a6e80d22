// Fourier analysis over a cyclic group, for probes that describe a network's circuit for a op b = c by waves
// (Nanda et al. 2023, "Progress measures for grokking via mechanistic interpretability"). Throughout, n is
// the order of the group, w_k = 2 pi k / n, and a frequency k runs over 1..floor(n/2).
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/operand_grid.h>
#include <orrery/probe.h>
#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

/// The orthonormal real Fourier basis of functions on 0..n-1, one per row: const, cos 1, sin 1, cos 2, sin 2,
/// ... Entry x of row "cos k" is sqrt(2/n) cos(w_k x). For even n the last row is "cos n/2", +-1/sqrt(n),
/// whose sine vanishes. Returns [n, n] float64 on the CPU. Throws orrery::Error unless n >= 1.
ORRERY_API torch::Tensor fourier_basis(int64_t n);
/// The names of the n rows of fourier_basis(n): "const", "cos 1", "sin 1", ...
ORRERY_API std::vector<std::string> fourier_names(int64_t n);

/// The norm of each frequency in x [n, ...], a function on the group: the Euclidean norm of its cos and sin
/// components over all trailing dimensions. x may have any real dtype. Returns [floor(n/2) + 1] float64 on
/// the device of x, entry k for frequency k, entry 0 for the constant. The squares add up to the sum of
/// squares of x.
ORRERY_API torch::Tensor fourier_norms(const torch::Tensor& x);

/// The orthonormal two-dimensional transform of x [n, n, m], m functions of two elements, float32 or float64:
/// entry (u, v) is the component along basis row u in the first element and row v in the second. Returns [n,
/// n, m] in the dtype and on the device of x. Throws orrery::Error for another shape.
ORRERY_API torch::Tensor fourier_2d(const torch::Tensor& x);

/// The spectrum of m neurons, each a function of two elements. Energy is the sum of squares about the
/// neuron's own mean.
struct NeuronSpectrum {
  torch::Tensor
      frequency;  ///< [m] int64: the frequency with the largest share; 0 for a neuron that is constant
  /// [m] float64: the share of the energy at that frequency, in the 8 components {const, cos k, sin k} x
  /// {const, cos k, sin k} without const x const (3 if the sine vanishes)
  torch::Tensor share;
  /// [floor(n/2) + 1, floor(n/2) + 1] float64: share of the energy of all neurons by frequency of the first
  /// element (row) and of the second (column)
  torch::Tensor energy;
  /// [n, n] float64: the root mean square over pairs and neurons of each component of fourier_2d, without
  /// const x const, the means
  torch::Tensor components;

  /// [floor(n/2) + 1] int64: the number of neurons at each frequency whose largest share is `threshold` or
  /// more.
  ORRERY_API torch::Tensor clusters(double threshold) const;
};
/// neurons: [n, n, m] float32 or float64. Throws orrery::Error for another shape and for n = 1.
ORRERY_API NeuronSpectrum neuron_spectrum(const torch::Tensor& neurons);

/// The coefficients of cos w_k(i + j - c) in x [n*n, n], row i*n + j, column c: inner products with that
/// function, scaled to norm 1 over all n*n*n entries. Returns [floor(n/2) + 1] float64; entry 0 is for the
/// constant. The squares are parts of the sum of squares of x. Throws orrery::Error for another shape.
ORRERY_API torch::Tensor cosine_coefficients(const torch::Tensor& x);

/// The Gini coefficient of non-negative values [n] (Hurley & Rickard 2009): 0 if all are equal or zero,
/// 1 - 1/n if all but one are zero.
ORRERY_API double gini(const torch::Tensor& values);

/// The cross-entropy of each row, in nats: logits [rows, classes], labels [rows] int64 on the same device.
/// Returns [rows] float64 there. Computed in float64, so that losses down to about 1e-15 are resolved.
ORRERY_API torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& labels);

/// The grid of a task with cyclic structure, laid out over its group: subtraction, multiplication and
/// division become addition, i + j = c. Results are computed once and kept, so use a view from one thread at
/// a time; the observation must outlive it. Tensors are on the CPU.
class ORRERY_API CyclicView : public OperandGrid {
 public:
  /// Throws orrery::UsageError if the task does not declare cyclic structure, orrery::Error for a group of
  /// order 1, and what OperandGrid throws.
  explicit CyclicView(const Observation& observation);
  explicit CyclicView(const Observation&& observation) = delete;

  /// The spectrum of the post-activation neurons, `*mlp.hook_post`, at the output position. Throws
  /// orrery::UsageError unless exactly one layer of neurons was observed.
  const NeuronSpectrum& neurons() const;
  /// [n, d] float32: operand_embedding (orrery/operands.h) of the left operand, by index.
  torch::Tensor embedding() const;
  /// fourier_norms of embedding().
  torch::Tensor embedding_norms() const;
  /// cosine_coefficients of the logits of the classes that have an index.
  const torch::Tensor& logit_coefficients() const;
  /// [floor(n/2) + 1] float64: the share of the variance of those logits, about their overall mean, that each
  /// cos w_k(i + j - c) explains; entry 0 is 0.
  torch::Tensor logit_shares() const;

 private:
  const Observation& observation_;
  mutable std::optional<NeuronSpectrum> neurons_;
  mutable torch::Tensor logit_coefficients_;
};

/// The rule that selects key frequencies: parameters that several probes share.
///   neurons    at least one neuron has `threshold` or more of its energy at k (NeuronSpectrum)
///   embedding  the norm of k in W_E (operand_embedding) is above a quarter of the largest of all k
///   logits     cos w_k(i + j - c) explains 1 % or more of the variance of the logits
///   given      those in `frequencies`
struct ORRERY_API KeyFrequencyParams {
  std::string rule = "neurons";      ///< "neurons", "embedding", "logits" or "given"
  double threshold = 0.85;           ///< of rule neurons, 0 to 1: see above
  std::vector<int64_t> frequencies;  ///< of rule given, each in 1..floor(n/2)

  template <class Params>
  static void fields(Fields<Params>& f) {
    f.add("rule", &KeyFrequencyParams::rule, "how key frequencies are told from the rest")
        .one_of({"neurons", "embedding", "logits", "given"});
    f.add("threshold", &KeyFrequencyParams::threshold,
          "rule neurons: the share of a neuron's energy that makes its frequency a key")
        .between(0, 1);
    f.add("frequencies", &KeyFrequencyParams::frequencies, "rule given: the key frequencies").at_least(1);
  }

  /// Throws orrery::UsageError unless frequencies are given with rule "given" and with that rule only. Call
  /// it in the probe's constructor, so that a run is refused before step 0.
  void check() const;
  /// Adds what the rule reads to `needs`.
  void add_to(Needs& needs) const;
};

/// The frequencies that carry a circuit, and the share of each in what the rule reads.
struct KeyFrequencies {
  std::vector<int64_t> frequencies;  ///< ascending
  /// 0 to 1, one for each frequency: of the number of neurons, of the energy of W_E without its mean, or
  /// (rules logits and given) of the variance of the logits.
  std::vector<double> shares;
};
/// Selects the key frequencies; there may be none. Throws orrery::UsageError if given frequencies repeat or
/// are not in 1..floor(n/2), and what the members of CyclicView that the rule reads throw.
ORRERY_API KeyFrequencies find_key_frequencies(const KeyFrequencyParams& params, const CyclicView& view);

}  // namespace orrery
