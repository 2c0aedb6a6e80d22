// The Kaplan-Meier estimate as a curve: the share of runs to which something has not happened yet, step by
// step.
#pragma once

#include <optional>
#include <vector>

#include "engine/sweep/survival.h"
#include "engine/sweep/wilson.h"

namespace orrery::engine {

/// At a step at which something came, or at which a run ended without it.
struct SurvivalStep {
  double value;
  size_t at_risk;  ///< runs still watched just before
  size_t events, censored;
  double share;  ///< to which it has not come, from this step on
  /// 95 %, pointwise: Greenwood's variance of log(-log(share)). Nothing where the share is 0 or 1.
  std::optional<Bounds> band;
};

/// Ascending, each value once; before the first the share is 1. Of equal values, events count before
/// censoring. survival_quantile() reads quantiles off this curve.
std::vector<SurvivalStep> survival_curve(std::vector<Observation> all);

}  // namespace orrery::engine
