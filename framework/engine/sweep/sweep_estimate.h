// What is left of a sweep: time, from the runs that are done, and disk.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/sweep/swept_state.h"

namespace orrery::engine {

struct SweepEstimate {
  std::optional<double> seconds;        ///< with one job; nothing if no run is done yet
  std::optional<uint64_t> run_bytes;    ///< the mean over the runs that are done
  std::optional<uint64_t> least_bytes;  ///< else the weights that the largest run keeps, without probes
};

/// A run is taken to last as long as its steps x parameters; one that `train.stop_when` may end early is
/// counted whole, and measured as far as it went. `sizes`: check_points(). Needs a plan with settings.
SweepEstimate estimate(const SweepPlan& plan, const std::vector<SweptStatus>& states,
                       const std::map<std::string, int64_t>& sizes);

}  // namespace orrery::engine
