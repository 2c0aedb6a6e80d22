// Measures of how similarly two networks represent the same inputs. Activations are x [n, d]: n inputs, d
// features, of any float dtype. All functions centre the columns first and compute in float64.
#pragma once

#include <torch/types.h>

namespace orrery::engine {

/// Linear centred kernel alignment (Kornblith et al. 2019, "Similarity of Neural Network Representations
/// Revisited", arXiv 1905.00414, section 3): ||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F) of the centred x
/// [n, d] and y [n, e]. Ranges from 0 (no feature of one correlates with a feature of the other) to 1 (equal
/// up to rotation, reflection and a common factor). Invariant to rotating or uniformly scaling the features,
/// and to reordering the inputs of both alike. NaN if either is constant over the inputs. Throws
/// orrery::Error unless both are matrices over the same inputs.
double linear_cka(const torch::Tensor& x, const torch::Tensor& y);

/// An orthonormal basis of the leading principal components of x as functions of the input: the fewest that
/// hold `share` (0 to 1) of its variance. Returns [n, r] float64; r is 0 if x is constant.
torch::Tensor leading_components(const torch::Tensor& x, double share);

/// The principal angles between the subspaces spanned by orthonormal columns a [n, p] and b [n, q], in
/// radians, ascending: min(p, q) numbers from 0 to pi/2. Uses sines below pi/4, where cosines lose precision
/// (Bjoerck & Golub 1973, "Numerical methods for computing angles between linear subspaces"). Returns
/// float64. Throws orrery::Error unless the columns are orthonormal to 1e-9 and in the same space.
torch::Tensor principal_angles(const torch::Tensor& a, const torch::Tensor& b);

}  // namespace orrery::engine
