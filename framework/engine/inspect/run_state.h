// The state of a run, from its files and its lock. Free of LibTorch.
#pragma once

#include <string>

#include "engine/run/run_json.h"

namespace orrery::engine {

enum class RunState {
  finished,     ///< made all steps, or train.stop_when held
  training,     ///< a process is training it now
  interrupted,  ///< stopped, or killed
  diverged,     ///< the loss was NaN or infinite
  imported,     ///< a published network
  damaged       ///< run.json cannot be read
};
/// "finished", "training", ...
std::string to_string(RunState state);

/// `held`: whether a process holds the run's lock. A session that is recorded as running without holding the
/// lock was killed.
RunState state_of(const RunJson& info, bool held);

}  // namespace orrery::engine
