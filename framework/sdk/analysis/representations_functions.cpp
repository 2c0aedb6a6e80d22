// Functions of one, two and three elements, by representation.
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/grid_pieces.h>
#include <orrery/groups.h>

#include <cmath>
#include <limits>

namespace orrery {
namespace {

using torch::Tensor;

// Neurons processed together: 7 MB of doubles for S_5, which stays in cache.
constexpr int64_t kColumns = 64;

void check_pairs(const Tensor& x, const FiniteGroup& group) {
  const int64_t n = group.order();
  if (x.dim() != 2 || x.size(0) != n * n)
    throw Error(
        fmt::format("expected [n*n, m] values over the pairs of {} elements, got {} rows in {} "
                    "dimensions",
                    n, x.dim() > 0 ? x.size(0) : 0, x.dim()));
}

// Means of x [n*n, m] over the n pairs with each product: [n, m] float64.
Tensor means_by_product(const Tensor& x, const FiniteGroup& group) {
  const auto sums = torch::zeros({group.order(), x.size(1)}, torch::kFloat64);
  return sums.index_add_(0, group.products(), x.to(torch::kFloat64)) / group.order();
}

// Sum of squares of the part of each of m functions x [n, m] in each representation; the trivial one has 0.
Tensor energies(const Tensor& x, const std::vector<Representation>& representations) {
  std::vector<Tensor> all{torch::zeros({x.size(1)}, torch::kFloat64)};
  for (size_t i = 1; i < representations.size(); ++i)
    all.push_back(representations[i].basis.matmul(x).square().sum(0));
  return torch::stack(all);
}

// Sums of squares of x [rows, m] about the means of its columns; 0 for a column that is constant up to
// rounding.
Tensor energy_about_mean(const Tensor& x, double epsilon) {
  const auto squares = x.square().sum(0), energy = (x - x.mean(0)).square().sum(0);
  const double rounding = 16 * epsilon;
  return torch::where(energy > squares * (rounding * rounding), energy, torch::zeros_like(energy));
}

double epsilon_of(const Tensor& x) {
  return x.scalar_type() == torch::kFloat64 ? std::numeric_limits<double>::epsilon()
                                            : std::numeric_limits<float>::epsilon();
}

}  // namespace

Tensor representation_shares(const Tensor& x, const std::vector<Representation>& representations) {
  if (x.dim() != 2 || representations.empty() || x.size(0) != representations.front().basis.size(1))
    throw Error("representation_shares: expected values [n, m], a row for each element of the group");
  const auto values = x.to(torch::kFloat64);
  const auto total = energy_about_mean(values, epsilon_of(x));
  const auto alive = total > 0;
  const auto own = energies(values, representations) * alive;
  return own.sum(1) / total.sum().clamp_min(std::numeric_limits<double>::min());
}

PairEnergies pair_energies(const Tensor& values, const FiniteGroup& group,
                           const std::vector<Representation>& representations) {
  check_pairs(values, group);
  const int64_t n = group.order();
  std::vector<Tensor> left, right, product, total;
  for (const Tensor& some : values.split(kColumns, 1)) {
    const auto x = some.to(torch::kFloat64).contiguous();
    const auto grid = x.view({n, n, x.size(1)});
    total.push_back(energy_about_mean(x, epsilon_of(values)));
    // A function of x alone takes each of its values n times. The energy of a constant is rounding noise.
    const auto times = (total.back() > 0).to(torch::kFloat64) * static_cast<double>(n);
    left.push_back(energies(grid.mean(1), representations) * times);
    right.push_back(energies(grid.mean(0), representations) * times);
    product.push_back(energies(means_by_product(x, group), representations) * times);
  }
  return {torch::cat(left, 1), torch::cat(right, 1), torch::cat(product, 1), torch::cat(total)};
}

PairEnergies pair_energies(const PairSums& sums, const std::vector<Representation>& representations) {
  const auto total = sums.energy();
  // A function of x alone takes each of its values n times. The energy of a constant is rounding noise.
  const auto n = static_cast<double>(sums.by_product().size(0));
  const auto times = (total > 0).to(torch::kFloat64) * n;
  return {energies(sums.by_left(), representations) * times,
          energies(sums.by_right(), representations) * times,
          energies(sums.by_product(), representations) * times, total};
}

CharacterFit fit_characters(const Tensor& by_product, double energy, const FiniteGroup& group,
                            const std::vector<Representation>& representations) {
  const int64_t n = group.order();
  if (by_product.dim() != 2 || by_product.size(0) != n || by_product.size(1) != n)
    throw Error(fmt::format("fit_characters: expected means by product [n, n], n = {}", n));
  // Sums over all (x, y, z) with the same x y z^-1: first over pairs with the same product, then over
  // products.
  const auto sums = torch::zeros({n}, torch::kFloat64)
                        .index_add_(0, group.quotients(), by_product.mul(static_cast<double>(n)).flatten());
  std::vector<Tensor> coefficients;
  for (const Representation& rho : representations)  // n^2 triples have each x y z^-1
    coefficients.push_back(sums.dot(rho.character) / (rho.character.norm() * static_cast<double>(n)));
  const auto all = torch::stack(coefficients);
  auto similarity = energy > 0 ? all / std::sqrt(energy) : torch::zeros_like(all);
  similarity[0] = 0;
  return {all, similarity};
}

CharacterFit fit_characters(const Tensor& logits, const FiniteGroup& group,
                            const std::vector<Representation>& representations) {
  check_pairs(logits, group);
  if (logits.size(1) != group.order())
    throw Error(
        fmt::format("expected logits [n*n, n], n = {}, got {} columns", group.order(), logits.size(1)));
  const auto flat = logits.to(torch::kFloat64).reshape({-1, 1});
  const double energy = energy_about_mean(flat, epsilon_of(logits)).item<double>();
  return fit_characters(means_by_product(logits, group), energy, group, representations);
}

Tensor characters_by_product(const Tensor& coefficients, const FiniteGroup& group,
                             const std::vector<Representation>& representations) {
  const int64_t n = group.order();
  if (coefficients.dim() != 1 || coefficients.size(0) != static_cast<int64_t>(representations.size()))
    throw Error("character_logits: expected a coefficient for each representation");
  auto by_quotient = torch::zeros({n}, torch::kFloat64);
  for (size_t r = 0; r < representations.size(); ++r) {
    const auto& chi = representations[r].character;
    by_quotient += coefficients[static_cast<int64_t>(r)] * chi / (chi.norm() * static_cast<double>(n));
  }
  return by_quotient.index_select(0, group.quotients()).view({n, n});  // x y, z
}

Tensor character_logits(const Tensor& coefficients, const FiniteGroup& group,
                        const std::vector<Representation>& representations) {
  return characters_by_product(coefficients, group, representations).index_select(0, group.products());
}

Tensor project_on_product(const Tensor& x, const FiniteGroup& group, const Representation& representation) {
  check_pairs(x, group);
  const auto& basis = representation.basis;
  const auto by_product = basis.t().matmul(basis.matmul(means_by_product(x, group)));
  return by_product.index_select(0, group.products());
}

}  // namespace orrery
