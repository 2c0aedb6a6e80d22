// Fourier analysis over a cyclic group, for the probes that read a network's circuit for a op b = c in waves
// (Nanda et al. 2023, "Progress measures for grokking via mechanistic interpretability").
// Throughout, n is the order of the group, w_k = 2 pi k / n, and a frequency k runs over 1..floor(n/2).
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
/// ... Entry x of row "cos k" is sqrt(2/n) cos(w_k x). For even n the last row is cos n/2 = +-1/sqrt(n),
/// since its sine vanishes. Returns [n, n] float64 on the CPU. Throws orrery::Error unless n >= 1.
ORRERY_API torch::Tensor fourier_basis(int64_t n);
/// "const", "cos 1", "sin 1", ...: the names of its n rows.
ORRERY_API std::vector<std::string> fourier_names(int64_t n);

/// How large each frequency is in x [n, ...], a function of the group's elements: the Euclidean norm of its
/// cos and sin components over all trailing dimensions. x may be of any real dtype. Returns [floor(n/2) + 1]
/// float64 on the device of x, entry k for frequency k, entry 0 for the constant. The squares add up to the
/// sum of squares of x.
ORRERY_API torch::Tensor fourier_norms(const torch::Tensor& x);

/// The two-dimensional transform of x [n, n, m], m functions of two elements: entry (u, v) of the result is
/// the component along (row u of the basis of the first index) x (row v of the second). Orthonormal; of
/// shape [n, n, m], in the dtype and on the device of x, which is float32 or float64. Throws orrery::Error
/// for another shape.
ORRERY_API torch::Tensor fourier_2d(const torch::Tensor& x);

/// Where the activation of each of m neurons, as a function of two elements, lives among the frequencies.
/// Energy is the sum of squares about the neuron's own mean.
struct NeuronSpectrum {
  torch::Tensor
      frequency;  ///< [m] int64: the frequency with the largest share; 0 for a neuron that is constant
  /// [m] float64: its share of the energy, in the 8 components {const, cos k, sin k} x {const, cos k, sin k}
  /// less const x const (3 where the sine vanishes)
  torch::Tensor share;
  /// [floor(n/2) + 1, floor(n/2) + 1] float64: the energy of all neurons by frequency of the first element
  /// (row) and of the second (column), as a share of the whole
  torch::Tensor energy;
  /// [n, n] float64: the size of each component of fourier_2d, as a root mean square over pairs and neurons;
  /// const x const, the means, left out
  torch::Tensor components;

  /// [floor(n/2) + 1] int64: how many neurons have their largest share, `threshold` or more, at each
  /// frequency.
  ORRERY_API torch::Tensor clusters(double threshold) const;
};
/// neurons: [n, n, m], in float32 or float64. Throws orrery::Error for n = 1 and for another shape.
ORRERY_API NeuronSpectrum neuron_spectrum(const torch::Tensor& neurons);

/// The coefficients of cos w_k(i + j - c) in x [n*n, n], whose column c belongs to result c: inner products
/// with that function scaled to norm 1 over all n*n*n entries. Returns [floor(n/2) + 1] float64; entry 0 is
/// for the constant. Their squares are parts of the sum of squares of x. Throws orrery::Error for another
/// shape.
ORRERY_API torch::Tensor cosine_coefficients(const torch::Tensor& x);

/// The Gini coefficient of non-negative values (Hurley & Rickard 2009): 0 if all are equal, (n - 1)/n if one
/// of n holds everything. 0 for values that are all zero.
ORRERY_API double gini(const torch::Tensor& values);

/// The cross-entropy of each row, in nats: logits [rows, classes], labels [rows] int64. Computed in float64,
/// it tells losses from 0 down to about 1e-15. Returns [rows] float64, on the device of the logits.
ORRERY_API torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& labels);

/// The grid of a task with cyclic structure, laid out over its group. With this, what holds for addition
/// holds for subtraction, multiplication and division: the operation reads i + j = c. Results are kept, so
/// that asking twice costs nothing; the observation must outlive the view.
class ORRERY_API CyclicView : public OperandGrid {
 public:
  /// Throws orrery::UsageError where the task declares no cyclic structure, orrery::Error for a group of
  /// order 1, and what OperandGrid throws.
  explicit CyclicView(const Observation& observation);
  explicit CyclicView(const Observation&& observation) = delete;

  /// The spectrum of the post-activation neurons, `*mlp.hook_post`, at the read-out position. Throws
  /// orrery::UsageError unless exactly one layer of neurons was observed.
  const NeuronSpectrum& neurons() const;
  /// [n, d]: operand_embedding (orrery/operands.h) of the left operand, laid out.
  torch::Tensor embedding() const;
  /// fourier_norms of it.
  torch::Tensor embedding_norms() const;
  /// cosine_coefficients of the logits of the classes with an index.
  const torch::Tensor& logit_coefficients() const;
  /// [floor(n/2) + 1] float64: the share of the variance of those logits (about their overall mean) that each
  /// cos w_k(i + j - c) explains; entry 0 is 0.
  torch::Tensor logit_shares() const;

 private:
  const Observation& observation_;
  mutable std::optional<NeuronSpectrum> neurons_;
  mutable torch::Tensor logit_coefficients_;
};

/// How key frequencies are told from the rest; the parameters that probes share.
///   neurons    at least one neuron has `threshold` or more of its energy at k (NeuronSpectrum)
///   embedding  the norm of k in W_E (operand_embedding) is above a quarter of the largest of all k
///   logits     cos w_k(i + j - c) explains 1 % or more of the variance of the logits
///   given      those in `frequencies`
struct ORRERY_API KeyFrequencyParams {
  std::string rule = "neurons";
  double threshold = 0.85;
  std::vector<int64_t> frequencies;

  template <class Params>
  static void fields(Fields<Params>& f) {
    f.add("rule", &KeyFrequencyParams::rule, "how key frequencies are told from the rest")
        .one_of({"neurons", "embedding", "logits", "given"});
    f.add("threshold", &KeyFrequencyParams::threshold,
          "rule neurons: the share of a neuron's energy that makes its frequency a key")
        .between(0, 1);
    f.add("frequencies", &KeyFrequencyParams::frequencies, "rule given: the key frequencies").at_least(1);
  }

  /// Throws orrery::UsageError unless frequencies are given with rule "given", and with no other. For a
  /// probe's constructor, so that it is refused before the first step.
  void check() const;
  /// What the rule looks at, added to what a probe needs.
  void add_to(Needs& needs) const;
};

/// The frequencies that carry a circuit, ascending, and the share of each in what the rule looked at: of the
/// number of neurons, of the energy of W_E without its mean, or (rules logits and given) of the variance of
/// the logits.
struct KeyFrequencies {
  std::vector<int64_t> frequencies;
  std::vector<double> shares;
};
/// May find none. Throws orrery::UsageError if given frequencies are repeated or not in 1..floor(n/2).
ORRERY_API KeyFrequencies find_key_frequencies(const KeyFrequencyParams& params, const CyclicView& view);

}  // namespace orrery
