#include "sdk/analysis/representations.h"

#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/fourier.h>

#include <algorithm>
#include <cmath>

namespace orrery {
namespace {

constexpr double kExact = 1e-10;

double largest(const torch::Tensor& x) { return x.abs().max().item<double>(); }

torch::Tensor squares_of(const FiniteGroup& group) {
  std::vector<int64_t> squares;
  for (int64_t x = 0; x < group.order(); ++x) squares.push_back(group.product(x, x));
  return torch::tensor(squares, torch::kInt64);
}

// The type by the norm of the character and the Frobenius-Schur indicator: 1, 2 or 4, and 0 if reducible
// (Serre 1977, "Linear Representations of Finite Groups", section 13.2).
int64_t type_of(const FiniteGroup& group, const torch::Tensor& character) {
  const double norm = character.square().mean().item<double>();
  const double indicator = character.index_select(0, squares_of(group)).mean().item<double>();
  const auto is = [&](double n, double i) {
    return std::abs(norm - n) < kExact && std::abs(indicator - i) < kExact;
  };
  return is(1, 1) ? 1 : is(2, 0) ? 2 : is(4, -2) ? 4 : 0;
}

torch::Tensor basis_of(const torch::Tensor& matrices, int64_t type) {
  const int64_t n = matrices.size(0), d = matrices.size(1);
  const auto entries = matrices.reshape({n, d * d});
  if (type == 1) return entries.t().contiguous() * std::sqrt(double(d) / double(n));  // Schur orthogonality
  const auto left = std::get<0>(at::linalg_svd(entries, /*full_matrices=*/false));
  return left.narrow(1, 0, d * d / type).t().contiguous();
}

[[noreturn]] void refuse(const Representation& rho, const std::string& fault) {
  throw Error(fmt::format("representation \"{}\" of degree {}: {}", rho.name, rho.degree(), fault));
}

void check_one(const FiniteGroup& group, const Representation& rho) {
  const int64_t n = group.order();
  if (rho.matrices.size(0) != n)
    refuse(rho, fmt::format("it has matrices for {} elements of {}", rho.matrices.size(0), n));
  const auto one = torch::eye(rho.degree(), torch::kFloat64);
  if (largest(rho.matrices.matmul(rho.matrices.transpose(1, 2)) - one) > kExact)
    refuse(rho, "its matrices are not orthogonal");
  const auto products = group.products().view({n, n});
  for (const int64_t g : group.generators())
    if (largest(rho.matrices.matmul(rho.matrices[g]) - rho.matrices.index_select(0, products.select(1, g))) >
        kExact)
      refuse(rho, fmt::format("rho(x) rho({0}) is not rho(x {0}) for every x", g));
  if (type_of(group, rho.character) != rho.type) refuse(rho, "it is not irreducible of its type");
}

}  // namespace

Representation make_representation(std::string name, const FiniteGroup& group, torch::Tensor matrices) {
  Representation rho;
  rho.name = std::move(name);
  rho.character = matrices.diagonal(0, 1, 2).sum(1);
  rho.type = type_of(group, rho.character);
  rho.matrices = std::move(matrices);
  if (rho.type == 0) refuse(rho, "it is not irreducible");
  rho.basis = basis_of(rho.matrices, rho.type);
  return rho;
}

int64_t cyclic_generator(const FiniteGroup& group) {
  for (int64_t g = 0; g < group.order(); ++g) {
    int64_t power = group.identity(), period = 0;
    do {
      power = group.product(power, g);
      ++period;
    } while (power != group.identity());
    if (period == group.order()) return g;
  }
  return -1;
}

std::vector<Representation> cyclic_representations(const FiniteGroup& group, int64_t generator) {
  const int64_t n = group.order();
  std::vector<int64_t> logarithm(n);
  for (int64_t exponent = 0, x = group.identity(); exponent < n; ++exponent, x = group.product(x, generator))
    logarithm[x] = exponent;
  const auto waves = fourier_basis(n).index_select(1, torch::tensor(logarithm, torch::kInt64));
  std::vector<Representation> all;
  for (int64_t k = 0; 2 * k <= n; ++k) {
    const bool alone = k == 0 || 2 * k == n;
    const auto rows = waves.narrow(0, k == 0 ? 0 : 2 * k - 1, alone ? 1 : 2);
    const auto unit = rows * std::sqrt(double(n) / (alone ? 1 : 2));  // cos, sin
    const auto matrices =
        alone ? unit[0].view({n, 1, 1})
              : torch::stack({unit[0], -unit[1], unit[1], unit[0]}, 1).view({n, 2, 2}).contiguous();
    all.push_back({k == 0 ? "trivial" : fmt::format("k={}", k), matrices, matrices.diagonal(0, 1, 2).sum(1),
                   rows.contiguous(), alone ? 1 : 2});
  }
  return all;
}

std::string name_of(const FiniteGroup& group) {
  if (const auto permutations = as_permutations(group)) {
    if (permutations->kind == PermutationGroup::Kind::symmetric)
      return fmt::format("S_{}", permutations->degree);
    if (permutations->kind == PermutationGroup::Kind::alternating)
      return fmt::format("A_{}", permutations->degree);
  }
  return cyclic_generator(group) >= 0 ? fmt::format("Z_{}", group.order())
                                      : fmt::format("group of order {}", group.order());
}

std::vector<Representation> irreducible_representations(const FiniteGroup& group) {
  const auto found = [&] {
    if (const auto permutations = as_permutations(group)) {
      if (permutations->kind == PermutationGroup::Kind::symmetric)
        return symmetric_representations(group, *permutations);
      if (permutations->kind == PermutationGroup::Kind::alternating)
        return alternating_representations(group, *permutations);
    }
    const int64_t generator = cyclic_generator(group);
    return generator >= 0 ? cyclic_representations(group, generator) : numerical_representations(group);
  }();
  check_representations(group, found);
  return found;
}

void check_representations(const FiniteGroup& group, const std::vector<Representation>& representations) {
  if (representations.empty()) throw Error("there are no representations to check");
  std::vector<torch::Tensor> characters, bases;
  for (const Representation& rho : representations) {
    check_one(group, rho);
    characters.push_back(rho.character / rho.character.norm());
    bases.push_back(rho.basis);
  }
  const auto chi = torch::stack(characters), functions = torch::cat(bases);
  if (largest(chi.matmul(chi.t()) - torch::eye(chi.size(0), torch::kFloat64)) > kExact)
    throw Error("two of the representations have characters that are not orthogonal: are they the same?");
  if (functions.size(0) != group.order())
    throw Error(fmt::format("the entries of the representations span {} functions on a group of {} elements",
                            functions.size(0), group.order()),
                "irreducible representations are missing, or there are too many");
  if (largest(functions.matmul(functions.t()) - torch::eye(group.order(), torch::kFloat64)) > kExact)
    throw Error("the bases of the representations are not orthonormal");
}

}  // namespace orrery
