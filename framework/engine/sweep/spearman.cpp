#include "engine/sweep/spearman.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace orrery::engine {

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (size_t k = i; k < end; ++k) ranks[order[k]] = static_cast<double>(i + 1 + end) / 2;
    i = end;
  }
  return ranks;
}

std::optional<double> spearman(const std::vector<double>& x, const std::vector<double>& y) {
  if (x.size() < 2) return std::nullopt;
  const std::vector<double> a = ranks(x), b = ranks(y);
  const double mean = static_cast<double>(a.size() + 1) / 2;
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
  }
  if (aa == 0 || bb == 0) return std::nullopt;
  return ab / std::sqrt(aa * bb);
}

std::optional<double> partial_spearman(const std::vector<double>& x, const std::vector<double>& y,
                                       const std::vector<double>& z) {
  const auto xy = spearman(x, y), xz = spearman(x, z), yz = spearman(y, z);
  if (!xy || !xz || !yz) return std::nullopt;
  const double left = (1 - *xz * *xz) * (1 - *yz * *yz);
  if (left < 1e-12) return std::nullopt;
  return (*xy - *xz * *yz) / std::sqrt(left);
}

}  // namespace orrery::engine
