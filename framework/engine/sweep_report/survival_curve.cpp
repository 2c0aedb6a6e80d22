#include "engine/sweep_report/survival_curve.h"

#include <algorithm>
#include <cmath>

namespace orrery::engine {
namespace {

std::optional<Bounds> greenwood_band(double share, double variance) {
  if (share <= 0 || share >= 1) return std::nullopt;
  constexpr double z = 1.959963984540054;  // the normal distribution's 97.5 % quantile
  const double width = z * std::sqrt(variance) / std::abs(std::log(share));
  return Bounds{std::pow(share, std::exp(width)), std::pow(share, std::exp(-width))};
}

}  // namespace

std::vector<SurvivalStep> survival_curve(std::vector<Observation> all) {
  std::sort(all.begin(), all.end(),
            [](const Observation& a, const Observation& b) { return a.value < b.value; });
  std::vector<SurvivalStep> curve;
  double share = 1, variance = 0;
  for (size_t i = 0; i < all.size();) {
    SurvivalStep step{all[i].value, all.size() - i, 0, 0, 1, {}};
    for (; i < all.size() && all[i].value == step.value; ++i)
      ++(all[i].censored ? step.censored : step.events);
    const double watched = static_cast<double>(step.at_risk), came = static_cast<double>(step.events);
    // As a whole number over a whole number where nothing was censored before: 0 is 0, not 1e-17.
    share = step.at_risk == step.events ? 0 : share * (1 - came / watched);
    if (share > 0) variance += came / (watched * (watched - came));
    step.share = share;
    step.band = greenwood_band(share, variance);
    curve.push_back(step);
  }
  return curve;
}

}  // namespace orrery::engine
