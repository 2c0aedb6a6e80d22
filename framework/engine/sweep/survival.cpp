#include "engine/sweep/survival.h"

#include <algorithm>
#include <cmath>

namespace orrery::engine {

Quantile survival_quantile(std::vector<Observation> all, double q) {
  std::sort(all.begin(), all.end(), [](const Observation& a, const Observation& b) {
    return a.value != b.value ? a.value < b.value : a.censored < b.censored;
  });
  constexpr double rounding = 1e-9;
  double survival = 1;
  std::optional<double> reached;  // the value at which the share was q exactly
  for (size_t i = 0; i < all.size();) {
    size_t end = i, events = 0;
    for (; end < all.size() && all[end].value == all[i].value; ++end) events += !all[end].censored;
    if (events > 0) {
      if (reached) return {(*reached + all[i].value) / 2};
      survival *= 1 - static_cast<double>(events) / static_cast<double>(all.size() - i);
      if (std::abs(survival - (1 - q)) < rounding)
        reached = all[i].value;
      else if (survival < 1 - q)
        return {all[i].value};
    }
    i = end;
  }
  // Half have come, but nothing says when the next one does.
  if (reached) return {*reached, all.back().censored};
  return {all.back().value, true};
}

}  // namespace orrery::engine
