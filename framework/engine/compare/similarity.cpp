#include "engine/compare/similarity.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>
#include <limits>

namespace orrery::engine {
namespace {

using torch::Tensor;

Tensor centred(const Tensor& x) {
  const Tensor exact = x.to(torch::kCPU, torch::kFloat64);
  return exact - exact.mean(0, /*keepdim=*/true);
}

void check_same_inputs(const Tensor& x, const Tensor& y) {
  if (x.dim() != 2 || y.dim() != 2 || x.size(0) != y.size(0))
    throw Error(fmt::format("activations of {} and {} dimensions over {} and {} inputs cannot be compared",
                            x.dim(), y.dim(), x.dim() > 0 ? x.size(0) : 0, y.dim() > 0 ? y.size(0) : 0));
}

// Centring a constant leaves rounding errors of this relative size, which must not count as variance.
bool is_constant(const Tensor& centred_x, const Tensor& x) {
  const double scale = x.to(torch::kFloat64).abs().max().item<double>();
  return centred_x.abs().max().item<double>() <= 1e-12 * scale;
}

void check_orthonormal(const Tensor& a) {
  if (a.dim() != 2) throw Error(fmt::format("a basis has 2 dimensions, not {}", a.dim()));
  const Tensor off = a.t().matmul(a) - torch::eye(a.size(1), torch::kFloat64);
  if (a.size(1) > 0 && !(off.abs().max().item<double>() < 1e-9))
    throw Error("principal angles need orthonormal columns", "see leading_components()");
}

}  // namespace

double linear_cka(const Tensor& x, const Tensor& y) {
  check_same_inputs(x, y);
  const Tensor a = centred(x), b = centred(y);
  if (a.numel() == 0 || b.numel() == 0 || is_constant(a, x) || is_constant(b, y))
    return std::numeric_limits<double>::quiet_NaN();
  const auto square = [](const Tensor& m) { return m.square().sum().item<double>(); };
  return square(b.t().matmul(a)) / (std::sqrt(square(a.t().matmul(a))) * std::sqrt(square(b.t().matmul(b))));
}

Tensor leading_components(const Tensor& x, double share) {
  const Tensor a = centred(x);
  if (a.numel() == 0 || is_constant(a, x)) return torch::empty({x.size(0), 0}, torch::kFloat64);
  // Uses the d x d Gram matrix, because n may be ten thousand times larger. Directions whose variance is lost
  // in its rounding are never leading ones.
  const auto [values, vectors] = at::linalg_eigh(a.t().matmul(a));
  const Tensor variance = values.flip(0).clamp_min(0);
  const double wanted = share * variance.sum().item<double>();
  int64_t rank = 0;
  double held = 0;
  while (rank < variance.size(0) && (rank == 0 || held < wanted * (1 - 1e-12))) {
    const double next = variance[rank].item<double>();
    if (next <= 1e-12 * variance[0].item<double>()) break;
    held += next;
    ++rank;
  }
  const Tensor projected = a.matmul(vectors.flip(1).narrow(1, 0, rank));
  return std::get<0>(at::linalg_qr(projected));
}

Tensor principal_angles(const Tensor& a, const Tensor& b) {
  check_orthonormal(a);
  check_orthonormal(b);
  if (a.size(0) != b.size(0))
    throw Error(fmt::format("subspaces of {} and of {} dimensions have no angles", a.size(0), b.size(0)));
  if (a.size(1) < b.size(1)) return principal_angles(b, a);
  if (b.size(1) == 0) return torch::empty({0}, torch::kFloat64);
  const Tensor inner = a.t().matmul(b);  // [p, q], p >= q
  const Tensor cosines = at::linalg_svdvals(inner).clamp(0, 1);
  // Descending sines belong to descending angles.
  const Tensor sines = at::linalg_svdvals(b - a.matmul(inner)).flip(0).clamp(0, 1);
  return torch::where(cosines.square() < 0.5, cosines.acos(), sines.asin());
}

}  // namespace orrery::engine
