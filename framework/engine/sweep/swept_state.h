// How far each run of a sweep is, from its folder and its locks; nothing else keeps state.
#pragma once

#include <string>
#include <vector>

#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

enum class SweptState {
  missing,  ///< has not begun
  running,  ///< a process works on it
  stale,    ///< stopped or killed before its end; goes on where it was
  done,     ///< trained to its end, and all probes asked
  failed    ///< diverged, refused or crashed
};
std::string to_string(SweptState state);

struct SweptStatus {
  SweptState state = SweptState::missing;
  std::string error;         ///< of a failed one: the first line
  bool diverged = false;     ///< failed for good: the same seeds diverge again
  int64_t step = 0;          ///< the last one known
  double seconds = 0;        ///< of all its sessions
  int64_t n_parameters = 0;  ///< 0 if unknown
};

SweptStatus status_of(const SweepPlan& plan, const SweptRun& run);
/// In the order of the plan.
std::vector<SweptStatus> status_of(const SweepPlan& plan);

/// "3,17,40-42".
std::string indices_text(const std::vector<size_t>& indices);

}  // namespace orrery::engine
