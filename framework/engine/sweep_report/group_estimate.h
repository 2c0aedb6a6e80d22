// What the runs of a group say together: the median or the mean of a reading, each with its interval.
#pragma once

#include <optional>
#include <vector>

#include "engine/sweep/survival.h"
#include "engine/sweep/sweep_table.h"
#include "engine/sweep/wilson.h"

namespace orrery::engine {

struct GroupEstimate {
  size_t n = 0, never = 0;  ///< runs, and those of them that are censored
  Quantile median{0};
  /// 95 %, bootstrap; none for a single run. Infinite where more than half of a resample never came.
  std::optional<Bounds> median_band;
  std::optional<double> mean;  ///< nothing if a run is censored: its value is unknown
  std::optional<Bounds> mean_band;
};

/// What is known of a reading of a run. Nothing if the run is not done, or if the reading is not a finite
/// number.
std::optional<Observation> observed(const SweepRow& row, size_t reading);

/// Of one observation or more. The median and its interval are those that `verify` judges.
GroupEstimate estimate_group(const std::vector<Observation>& group);

}  // namespace orrery::engine
