#include "engine/inspect/run_state.h"

namespace orrery::engine {

std::string to_string(RunState state) {
  switch (state) {
    case RunState::finished:
      return "finished";
    case RunState::training:
      return "training";
    case RunState::interrupted:
      return "interrupted";
    case RunState::diverged:
      return "diverged";
    case RunState::imported:
      return "imported";
    case RunState::damaged:
      return "damaged";
  }
  return "unknown";
}

RunState state_of(const RunJson& info, bool held) {
  const std::string ended = info.ended();
  if (ended == "finished" || ended == "condition") return RunState::finished;
  if (ended == "diverged") return RunState::diverged;
  if (ended == "imported") return RunState::imported;
  return ended == "running" && held ? RunState::training : RunState::interrupted;
}

}  // namespace orrery::engine
