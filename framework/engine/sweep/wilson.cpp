#include "engine/sweep/wilson.h"

#include <algorithm>
#include <cmath>

namespace orrery::engine {

Bounds wilson_interval(size_t hits, size_t n) {
  constexpr double z = 1.959963984540054;  // the normal distribution's 97.5 % quantile
  const double count = static_cast<double>(n), share = static_cast<double>(hits) / count;
  const double scale = 1 + z * z / count;
  const double middle = (share + z * z / (2 * count)) / scale;
  const double half = z * std::sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / scale;
  // With no hits, or nothing but hits, one end is exact; rounding must not leave it.
  return {hits == 0 ? 0 : std::max(0.0, middle - half), hits == n ? 1 : std::min(1.0, middle + half)};
}

}  // namespace orrery::engine
