#include "engine/report/thin.h"

#include <algorithm>
#include <cmath>

namespace orrery::engine {

Curve thin_curve(const Curve& curve, size_t most) {
  const size_t n = curve.values.size();
  if (n <= most || most < 4) return curve;
  Curve thin{curve.name, {}, {}};
  const auto keep = [&](size_t i) {
    if (!thin.steps.empty() && thin.steps.back() == curve.steps[i]) return;
    thin.steps.push_back(curve.steps[i]);
    thin.values.push_back(curve.values[i]);
  };
  const size_t stretches = (most - 2) / 2;
  keep(0);
  for (size_t k = 0; k < stretches; ++k) {
    const size_t begin = 1 + k * (n - 2) / stretches, end = 1 + (k + 1) * (n - 2) / stretches;
    size_t least = n, greatest = n;
    for (size_t i = begin; i < end; ++i) {
      if (!std::isfinite(curve.values[i])) continue;
      if (least == n || curve.values[i] < curve.values[least]) least = i;
      if (greatest == n || curve.values[i] > curve.values[greatest]) greatest = i;
    }
    if (least == n) least = greatest = begin;
    keep(std::min(least, greatest));
    keep(std::max(least, greatest));
  }
  keep(n - 1);
  return thin;
}

}  // namespace orrery::engine
