// Activations projected on a subspace, or off it: restricted and excluded loss (Nanda et al. 2023, "Progress
// measures for grokking via mechanistic interpretability", section 5.1) and their relatives. The type of the
// subspace says which dimension of an activation x [inputs, features] it is in:
//   OverInputs    each feature is a function of the input; the subspace is one of such functions, for example
//                 of cos w_k(a + b) and sin w_k(a + b) over all pairs (a, b)
//   OverFeatures  each input has a vector of features; the subspace is one of directions, for example one of
//                 the residual stream
#pragma once

#include <orrery/export.h>
#include <orrery/fourier.h>
#include <orrery/probe.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace orrery {

/// An orthonormal basis of the span of the rows of x [m, d] (or the vector x [d]): [rank, d] float64 on the
/// CPU. Singular values below max(m, d) times the rounding error of the largest, in the dtype of x, count as
/// zero. Throws orrery::Error if x has another shape, is not finite, or is zero.
ORRERY_API torch::Tensor orthonormal_rows(const torch::Tensor& x);

/// A subspace of functions of the input. Functions are given by their values. They may depend on the input
/// through an element of a set only, such as the sum a + b or a product in a finite group; then an
/// orthonormal basis of functions on the set, such as a representation, gives a subspace over the pairs
/// (Chughtai et al. 2023, "A Toy Model of Universality").
class ORRERY_API OverInputs {
 public:
  /// values: [m, n], m orthonormal functions of n elements; m may be 0. elements: [inputs] int64, the element
  /// of each input. Throws orrery::Error unless the rows are orthonormal to 1e-9 and each of the elements
  /// 0..n-1 occurs equally often, so that functions orthogonal on the elements are orthogonal on the inputs.
  OverInputs(const torch::Tensor& values, const torch::Tensor& elements);
  /// rows: [m, inputs], orthonormal functions of the input itself.
  explicit OverInputs(const torch::Tensor& rows);

  /// The sum of this subspace and `other`. Throws orrery::Error unless both have the same number of inputs
  /// and are orthogonal to each other.
  OverInputs plus(const OverInputs& other) const;

  int64_t dimension() const;
  int64_t n_inputs() const { return n_inputs_; }
  /// Projects each trailing entry of x [inputs, ...] on the subspace: float64, in the shape and on the device
  /// of x. Throws orrery::UsageError if x has another number of inputs.
  torch::Tensor project(const torch::Tensor& x) const;

 private:
  struct Functions {
    torch::Tensor values;      // [m, n] float64
    torch::Tensor elements;    // [inputs] int64
    torch::Tensor by_element;  // [inputs] int64: the inputs in the order of their elements
  };
  std::vector<Functions> parts_;  // orthogonal to each other
  int64_t n_inputs_ = 0;
};

/// A subspace of directions in feature space.
class ORRERY_API OverFeatures {
 public:
  /// rows: [m, d], directions. Throws orrery::Error unless they are orthonormal to 1e-9.
  explicit OverFeatures(const torch::Tensor& rows);

  int64_t dimension() const { return rows_.size(0); }
  int64_t n_features() const { return rows_.size(1); }
  /// Projects x [..., d] on the subspace: float64, in the shape and on the device of x. Throws
  /// orrery::UsageError if the last dimension of x is not d.
  torch::Tensor project(const torch::Tensor& x) const;

 private:
  torch::Tensor rows_;  // [m, d] float64
};

using Subspace = std::variant<OverInputs, OverFeatures>;

/// The rows of fourier_basis(n) that belong to `frequencies`: [m, n] float64, in the given order, the cosine
/// of each before its sine. Throws orrery::Error for a frequency that repeats or is not in 1..floor(n/2).
ORRERY_API torch::Tensor wave_functions(int64_t n, const std::vector<int64_t>& frequencies);
/// The frequencies 1..floor(n/2).
ORRERY_API std::vector<int64_t> all_frequencies(int64_t n);

/// Orthonormal `functions` [m, n] of the sum i + j (mod n), over the pairs (i, j) in the order of i*n + j:
/// with wave_functions, the space of waves in the sum.
ORRERY_API OverInputs functions_of_sum(const torch::Tensor& functions);
/// `functions` [m, n] of i alone and of j alone, over the same pairs: 2 m dimensions. Throws orrery::Error
/// unless each function is orthogonal to the constant, which is a function of i and of j.
ORRERY_API OverInputs functions_of_operands(const torch::Tensor& functions);

/// Reads a tensor from a safetensors file, to the CPU. `name` may be empty if the file holds only one. Throws
/// orrery::UsageError if there is no such file or tensor, or if the file is not a safetensors file. Relative
/// paths start at the current directory.
ORRERY_API torch::Tensor read_tensor(const std::string& path, const std::string& name = "");

/// What a cut does with x', the projection of an activation x on the subspace.
enum class Part {
  keep,   ///< x becomes x'
  remove  ///< x becomes x - x'
};

/// What a cut does with the constant term, the mean over inputs.
enum class Bias {
  none,   ///< it is cut as the rest is: functions cos w_k(a + b) do not hold it, so keep loses it
  site,   ///< the activation less its mean is cut, then the mean added back; for OverFeatures with
          ///< Part::remove this is mean ablation
  logits  ///< the mean of each logit is put back to what it was (restricted loss, Nanda et al. 2023)
};

/// A cut. Sites:
///   "logits"   the logits themselves
///   "neurons"  the post-activation neurons of a network with one layer of them, `*mlp.hook_post`, which must
///              have been observed. They add x W_L to the logits, W_L = W_out W_U. With Part::keep the logits
///              are those of the cut neurons alone, without biases and without the stream that passes by the
///              MLP; with Part::remove all of that stays (as in TransformerLens's Grokking_Demo)
///   "neurons_alone"  the same, but with Part::remove, too, the logits are those of the neurons alone
///   otherwise  hook points, by glob: each is cut in one forward pass over all inputs, and what follows is
///              computed from that. Activations are those of the inputs in their order, [inputs, ...]
struct SubspaceCut {
  Subspace subspace;
  Part part = Part::keep;
  Bias bias = Bias::none;
  std::string site = "logits";
  Positions positions = Positions::read_out;
};

/// Cuts x [inputs, ..., features]: float64, in the shape of x. Bias::logits acts as Bias::none here. Throws
/// orrery::UsageError if Bias::site should keep a mean that lies partly in OverInputs.
ORRERY_API torch::Tensor cut(const SubspaceCut& how, const torch::Tensor& x);

/// The inputs a cut applies to, in OverInputs order.
struct LaidOutInputs {
  torch::Tensor rows;    ///< [inputs] int64: rows of the task's grid
  torch::Tensor logits;  ///< [inputs, classes] float64: what the network says there
};
/// The pairs (i, j) of a grid in the order of i*n + j, with the logits of all classes.
ORRERY_API LaidOutInputs laid_out(const OperandGrid& grid);

/// The logits of the network under the cut: [inputs, classes] float64. The observation must be of
/// Inputs::grid. Throws orrery::UsageError for a site that the model does not have, a subspace that does not
/// fit the site, and for the neurons if the logits are not linear in them (a second layer, LayerNorm).
ORRERY_API torch::Tensor cut_logits(const SubspaceCut& how, const LaidOutInputs& inputs,
                                    const Observation& observation);

/// The figure "loss_without_each": bars of the losses by set of inputs, with each of several parts of a
/// network ablated in turn. without: names of what is ablated ("nothing", "k=14", ..., "all keys") with their
/// losses, all for the same sets, as OperandGrid::losses returns them.
ORRERY_API Figure loss_without_each(const std::string& title, const std::string& x_label,
                                    const std::string& y_label,
                                    const std::vector<std::pair<std::string, Losses>>& without);

}  // namespace orrery
