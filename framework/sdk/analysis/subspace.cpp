#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/subspace.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "sdk/analysis/by_element.h"

namespace orrery {
namespace {

// Above the rounding of inner products of float64 unit vectors with up to a million entries, below that of
// float32 ones.
constexpr double kOrthonormal = 1e-9;

// Throws unless x [m, d] has orthonormal rows.
void check_orthonormal(const torch::Tensor& x, const char* what) {
  if (x.dim() != 2)
    throw Error(fmt::format("{}: expected a matrix of rows, found shape [{}]", what,
                            fmt::join(x.sizes().vec(), ", ")));
  if (x.size(0) == 0) return;
  const auto off = (x.matmul(x.t()) - torch::eye(x.size(0), x.options())).abs().max().item<double>();
  if (!(off <= kOrthonormal))
    throw Error(fmt::format("{}: the {} rows are not orthonormal; an inner product is off by {:.2g}", what,
                            x.size(0), off),
                "pass them through orthonormal_rows()");
}

torch::Tensor as_rows(const torch::Tensor& x) { return x.detach().to(torch::kCPU, torch::kFloat64); }

// The inputs stably sorted by their element: [inputs].
torch::Tensor sorted_by_element(const torch::Tensor& elements, int64_t n) {
  const auto element = elements.contiguous();
  const int64_t* at = element.data_ptr<int64_t>();
  const int64_t inputs = element.numel();
  std::vector<int64_t> count(n, 0), order(inputs);
  for (int64_t input = 0; input < inputs; ++input) {
    if (at[input] < 0 || at[input] >= n)
      throw Error(fmt::format("input {} has the element {}, and the functions are of elements 0 to {}", input,
                              at[input], n - 1));
    ++count[at[input]];
  }
  for (int64_t e = 0; e < n; ++e)
    if (count[e] * n != inputs)
      throw Error(
          fmt::format("element {} occurs for {} of {} inputs; each of the {} must occur equally often", e,
                      count[e], inputs, n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [at](int64_t a, int64_t b) { return at[a] < at[b]; });
  return torch::tensor(order, torch::kInt64);
}

torch::Tensor indices_of(int64_t n) { return torch::arange(n, torch::kInt64); }

}  // namespace

torch::Tensor orthonormal_rows(const torch::Tensor& x) {
  if (!x.defined() || x.dim() < 1 || x.dim() > 2 || x.numel() == 0)
    throw Error(fmt::format("expected rows [m, d] or a vector [d], found shape [{}]",
                            x.defined() ? fmt::format("{}", fmt::join(x.sizes().vec(), ", ")) : "undefined"));
  const auto rows = as_rows(x.dim() == 1 ? x.unsqueeze(0) : x);
  if (!torch::isfinite(rows).all().item<bool>())
    throw Error("rows with entries that are not finite span no subspace");
  const auto [u, size, directions] = at::linalg_svd(rows, /*full_matrices=*/false);
  const double rounding = x.scalar_type() == torch::kFloat64 ? std::numeric_limits<double>::epsilon()
                                                             : std::numeric_limits<float>::epsilon();
  const auto bound = size[0] * (static_cast<double>(std::max(rows.size(0), rows.size(1))) * rounding);
  const auto rank = (size > bound).sum().item<int64_t>();
  if (rank == 0) throw Error("rows that are all zero span no subspace");
  return directions.narrow(0, 0, rank).contiguous();
}

OverInputs::OverInputs(const torch::Tensor& values, const torch::Tensor& elements)
    : n_inputs_(elements.numel()) {
  const auto functions = as_rows(values);
  check_orthonormal(functions, "a subspace over inputs");
  const auto element = elements.detach().to(torch::kCPU, torch::kInt64).flatten();
  parts_.push_back({functions, element, sorted_by_element(element, functions.size(1))});
}

OverInputs::OverInputs(const torch::Tensor& rows) : OverInputs(rows, indices_of(rows.size(-1))) {}

OverInputs OverInputs::plus(const OverInputs& other) const {
  if (other.n_inputs_ != n_inputs_)
    throw Error(
        fmt::format("a subspace over {} inputs and one over {} have no sum", n_inputs_, other.n_inputs_));
  const auto on_inputs = [](const Functions& f) {  // orthonormal over the inputs
    const double repeats = static_cast<double>(f.elements.size(0)) / static_cast<double>(f.values.size(1));
    return f.values.index_select(1, f.elements) / std::sqrt(repeats);
  };
  for (const Functions& mine : parts_)
    for (const Functions& theirs : other.parts_) {
      const auto products = on_inputs(mine).matmul(on_inputs(theirs).t()).abs();
      if (products.numel() > 0 && !(products.max().item<double>() <= kOrthonormal))
        throw Error(fmt::format("two subspaces are not orthogonal: their functions have inner products up to "
                                "{:.2g}",
                                products.max().item<double>()),
                    "leave out what both hold, such as the constant");
    }
  OverInputs both = *this;
  both.parts_.insert(both.parts_.end(), other.parts_.begin(), other.parts_.end());
  return both;
}

int64_t OverInputs::dimension() const {
  int64_t sum = 0;
  for (const Functions& part : parts_) sum += part.values.size(0);
  return sum;
}

torch::Tensor OverInputs::project(const torch::Tensor& x) const {
  if (x.dim() < 1 || x.size(0) != n_inputs_)
    throw UsageError(
        fmt::format("the subspace is one of functions of {} inputs; expected activations [{}, "
                    "...], found [{}]",
                    n_inputs_, n_inputs_, fmt::join(x.sizes().vec(), ", ")));
  const auto flat = x.reshape({n_inputs_, -1});
  const auto result = torch::zeros({n_inputs_, flat.size(1)}, x.options().dtype(torch::kFloat64));
  for (const Functions& part : parts_) {
    // Functions of the element depend on x only through its mean over the inputs of each element.
    const auto means = means_by_element(flat, part.by_element, part.values.size(1));
    const auto rows = part.values.to(x.device());
    add_by_element(rows.t().matmul(rows.matmul(means)), part.elements, result);
  }
  return result.view(x.sizes());
}

OverFeatures::OverFeatures(const torch::Tensor& rows) : rows_(as_rows(rows)) {
  check_orthonormal(rows_, "a subspace over features");
}

torch::Tensor OverFeatures::project(const torch::Tensor& x) const {
  if (x.dim() < 1 || x.size(-1) != n_features())
    throw UsageError(
        fmt::format("the subspace is one of directions of {} features; expected activations "
                    "[..., {}], found [{}]",
                    n_features(), n_features(), fmt::join(x.sizes().vec(), ", ")));
  const auto rows = rows_.to(x.device());
  return x.to(torch::kFloat64).matmul(rows.t()).matmul(rows);
}

torch::Tensor wave_functions(int64_t n, const std::vector<int64_t>& frequencies) {
  std::vector<int64_t> rows;
  std::set<int64_t> seen;
  for (const int64_t k : frequencies) {
    if (k < 1 || k > n / 2)
      throw Error(
          fmt::format("frequency {} does not exist: for order {} they run from 1 to {}", k, n, n / 2));
    if (!seen.insert(k).second) throw Error(fmt::format("frequency {} is given twice", k));
    rows.push_back(2 * k - 1);
    if (2 * k < n) rows.push_back(2 * k);
  }
  return fourier_basis(n).index_select(0, torch::tensor(rows, torch::kInt64));
}

std::vector<int64_t> all_frequencies(int64_t n) {
  std::vector<int64_t> all(n / 2);
  std::iota(all.begin(), all.end(), 1);
  return all;
}

OverInputs functions_of_sum(const torch::Tensor& functions) {
  const int64_t n = functions.size(-1);
  const auto i = indices_of(n);
  return {functions, torch::remainder(i.unsqueeze(1) + i, n).flatten()};
}

OverInputs functions_of_operands(const torch::Tensor& functions) {
  const int64_t n = functions.size(-1);
  const auto i = indices_of(n).unsqueeze(1).expand({n, n});
  return OverInputs(functions, i.reshape({-1})).plus({functions, i.t().reshape({-1})});
}

}  // namespace orrery
