// Irreducible representations of any finite group. A symmetric element of the real group algebra, acting on
// functions from the right, commutes with the group, which acts from the left; so its eigenspaces are
// representations. The algebra is a sum of rings of matrices over the reals, complex numbers or quaternions,
// a symmetric element is a Hermitian matrix in each, and a random one has distinct eigenvalues there: its
// eigenspaces are irreducible over the reals, whatever their type (Dixon 1970, "Computing irreducible
// representations of groups", Mathematics of Computation 24).
#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/task.h>

#include <algorithm>
#include <map>

#include "sdk/analysis/representations.h"

namespace orrery {
namespace {

// Eigenvalues are found to about n times 2e-16 of the largest; distinct ones of a random matrix are seldom
// closer than 1/n^2 of it.
constexpr double kSameEigenvalue = 1e-10;
constexpr uint64_t kAttempts = 5;

torch::Tensor inverses_of(const FiniteGroup& group) {
  std::vector<int64_t> inverses;
  for (int64_t x = 0; x < group.order(); ++x) inverses.push_back(group.inverse(x));
  return torch::tensor(inverses, torch::kInt64);
}

// [n, n] int64: x^-1 y in row x and column y.
torch::Tensor left_quotients(const FiniteGroup& group) {
  const int64_t n = group.order();
  return group.products().view({n, n}).index_select(0, inverses_of(group));
}

// Orthonormal bases [n, d] of the eigenspaces of a random symmetric element of the group algebra.
std::vector<torch::Tensor> eigenspaces(const FiniteGroup& group, uint64_t seed) {
  const int64_t n = group.order();
  const auto random = torch::randn({n}, make_generator(seed), torch::kFloat64);
  const auto symmetric = random + random.index_select(0, inverses_of(group));
  const auto action = symmetric.index_select(0, left_quotients(group).flatten()).view({n, n});
  const auto [values, vectors] = at::linalg_eigh(action);
  const double bound = values.abs().max().item<double>() * kSameEigenvalue;
  std::vector<torch::Tensor> spaces;
  for (int64_t start = 0, end = 1; start < n; start = end, end = start + 1) {
    while (end < n && values[end].item<double>() - values[end - 1].item<double>() < bound) ++end;
    spaces.push_back(vectors.narrow(1, start, end - start));
  }
  return spaces;
}

// The trace of each element on the space that `basis` [n, d] spans: the projector commutes with the group, so
// its entry (x, y) is a function of x^-1 y, and the trace of g is the sum of that over x^-1 g x.
torch::Tensor character_of(const FiniteGroup& group, const torch::Tensor& basis) {
  const auto projector = basis.matmul(basis[group.identity()]);
  const auto& classes = group.conjugacy_classes();
  const auto which = torch::tensor(classes, torch::kInt64);
  const int64_t count = *std::max_element(classes.begin(), classes.end()) + 1;
  const auto sums = torch::zeros({count}, torch::kFloat64).index_add_(0, which, projector);
  const auto means = sums / torch::bincount(which, {}, count);
  return means.index_select(0, which) * static_cast<double>(group.order());
}

// rho(g) = basis^T L_g basis, where (L_g f)(x) = f(g^-1 x): [n, d, d].
torch::Tensor matrices_on(const FiniteGroup& group, const torch::Tensor& basis) {
  const int64_t n = group.order(), d = basis.size(1);
  const auto moved = basis.index_select(0, left_quotients(group).flatten()).view({n, n, d});
  return basis.t().matmul(moved).contiguous();
}

bool by_degree(const Representation& a, const Representation& b) {
  if (a.degree() != b.degree()) return a.degree() < b.degree();
  const auto difference = a.character - b.character;
  for (int64_t x = 0; x < difference.size(0); ++x)
    if (const double d = difference[x].item<double>(); std::abs(d) > 1e-6) return d > 0;
  return false;
}

// One representation of each kind, or none where two eigenvalues happened to be equal.
std::vector<Representation> decompose(const FiniteGroup& group, uint64_t seed) {
  std::vector<Representation> all;
  int64_t functions = 0;
  for (const torch::Tensor& basis : eigenspaces(group, seed)) {
    const auto character = character_of(group, basis);
    const bool known = std::any_of(all.begin(), all.end(), [&](const Representation& rho) {
      return (rho.character - character).abs().max().item<double>() < 1e-6;
    });
    if (known) continue;
    try {
      all.push_back(make_representation("", group, matrices_on(group, basis)));
    } catch (const Error&) {
      return {};
    }
    functions += all.back().basis.size(0);
  }
  return functions == group.order() ? all : std::vector<Representation>{};
}

void give_names(std::vector<Representation>& all) {
  std::map<int64_t, int64_t> of_degree, seen;
  for (size_t i = 1; i < all.size(); ++i) ++of_degree[all[i].degree()];
  all.front().name = "trivial";
  for (size_t i = 1; i < all.size(); ++i) {
    const int64_t d = all[i].degree();
    all[i].name = of_degree[d] == 1 ? fmt::format("{}d", d) : fmt::format("{}d_{}", d, ++seen[d]);
  }
}

}  // namespace

std::vector<Representation> numerical_representations(const FiniteGroup& group) {
  for (uint64_t seed = 1; seed <= kAttempts; ++seed) {
    auto all = decompose(group, seed);
    if (all.empty()) continue;
    std::sort(all.begin(), all.end(), by_degree);
    give_names(all);
    return all;
  }
  throw Error(fmt::format("the irreducible representations of a group of order {} could not be told apart",
                          group.order()),
              "name its elements as permutations in cycle notation, if it is S_n");
}

}  // namespace orrery
