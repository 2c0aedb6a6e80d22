// Runs a sweep: its runs in forked processes, longest first.
#pragma once

#include <string>
#include <vector>

#include "engine/reporter/reporter.h"
#include "engine/sweep/sweep_plan.h"
#include "loader/registry.h"

namespace orrery::engine {

struct SweepEnding {
  size_t done = 0;    ///< of the whole plan, those of earlier sessions and other processes included
  size_t failed = 0;  ///< likewise
  bool interrupted = false;
};

/// Writes the plan to the sweep's folder, checks every point that is not done, and trains those, `jobs` at a
/// time, the longest first (steps x parameters). A run that another process works on is left to it and looked
/// at again at the end. One that fails costs itself only: it is reported as a warning with the first line of
/// its error. Those that diverged before are not tried again; all others are. Up to `replicas` runs of one
/// shape share a process and take turns; if it crashes, each of them goes on in a process of its own.
///
/// This process must have used one thread only.
SweepEnding run_sweep(const Registry& registry, const SweepPlan& plan, int jobs, Reporter& reporter,
                      int replicas = 0);

}  // namespace orrery::engine
