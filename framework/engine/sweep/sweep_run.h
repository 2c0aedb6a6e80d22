// Runs a sweep: its runs in forked processes, longest first.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine/reporter/reporter.h"
#include "engine/sweep/sweep_plan.h"
#include "loader/registry.h"

namespace orrery::engine {

struct SweepEnding {
  size_t done = 0;     ///< of the whole plan, those of earlier sessions and other processes included
  size_t failed = 0;   ///< of the chosen ones, likewise
  size_t blocked = 0;  ///< of the chosen ones: what they start from is not there
  bool interrupted = false;

  bool well() const { return failed == 0 && blocked == 0; }
};

/// Which runs, in how many processes at a time.
struct SweepChoice {
  int jobs = 1;
  std::set<size_t> indices = {};  ///< into the runs of the plan; empty: all
  int replicas = 0;  ///< how many runs of one shape may share a process; 0: as many as are faster together
};

/// Writes the plan to the sweep's folder, checks every point that is not done, and trains those, `jobs` at a
/// time, the longest first (steps x parameters), those of later stages once the run that they start from is
/// done. A run that another process works on is left to it and looked at again at the end. One that fails
/// costs itself, and those that start from it, only: it is reported as a warning with the first line of its
/// error. Those that diverged before are not tried again; all others are. A damaged one is set aside and made
/// anew, with a warning. Up to `replicas` runs of one shape share a process and take turns; if it crashes,
/// each of them goes on in a process of its own.
///
/// This process must have used one thread only.
SweepEnding run_sweep(const Registry& registry, const SweepPlan& plan, const SweepChoice& choice,
                      Reporter& reporter);

}  // namespace orrery::engine
