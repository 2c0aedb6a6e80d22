// How far each run of a sweep is, from its folder and its locks; nothing else keeps state.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/sweep/sweep_plan.h"
#include "engine/sweep/swept_start.h"

namespace orrery::engine {

enum class SweptState {
  missing,  ///< has not begun
  running,  ///< a process works on it
  stale,    ///< stopped or killed before its end, or short of results that it had; goes on where it was
  done,     ///< trained to its end, and all probes asked
  failed,   ///< diverged, refused or crashed
  damaged,  ///< its files are not what was written, or of another run; it is set aside and made anew
  blocked   ///< cannot begin: the run that it starts from failed, or never came to that checkpoint
};
std::string to_string(SweptState state);
/// All of them, those that want attention last.
const std::vector<SweptState>& swept_states();

struct SweptStatus {
  SweptState state = SweptState::missing;
  std::string error;         ///< of a failed, damaged or blocked one: the first line
  bool diverged = false;     ///< failed for good: the same seeds diverge again
  int64_t step = 0;          ///< the last one known
  double seconds = 0;        ///< of all its sessions
  int64_t n_parameters = 0;  ///< 0 if unknown
  bool kept_less = false;    ///< done with keep = "none", whereas the sweep now asks for checkpoints
  std::string waits = {};    ///< of a missing one: what for, if another run has to be done first
  bool has_test_set = true;  ///< false if it has no test examples
  std::string lost = {};     ///< of a stale one that was done: which results it has lost since
};

SweptStatus status_of(const SweepPlan& plan, const SweptRun& run);
/// The same for the process that holds the lock of the run, which therefore is not running elsewhere.
SweptStatus status_when_claimed(const SweepPlan& plan, const SweptRun& run);
/// In the order of the plan.
std::vector<SweptStatus> status_of(const SweepPlan& plan);

/// `run` must have a start.
StartNow start_now(const SweepPlan& plan, const SweptRun& run);

/// Throws orrery::Error if the system refuses to read a file of the run, which is no damage.
void refuse_unreadable(const std::filesystem::path& folder);

/// "3,17,40-42".
std::string indices_text(const std::vector<size_t>& indices);

}  // namespace orrery::engine
