// The training loop: when to evaluate, when to write a checkpoint, when to end. The caller decides what
// happens at these moments.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/config/condition.h"
#include "engine/train/schedule.h"
#include "engine/train/trainer.h"

namespace orrery::engine {

enum class Ending {
  finished,   ///< made all steps
  condition,  ///< train.stop_when held
  stopped,    ///< interrupted by the user
  diverged    ///< the loss was NaN or infinite
};
/// "finished", "condition", ...
std::string to_string(Ending ending);

/// Callbacks, each called between two updates. All must be set.
struct LoopEvents {
  std::function<void(int64_t step, const Metrics&)> evaluated;
  /// Writes a checkpoint; `ending` says whether, and how, the loop ends with it.
  std::function<void(int64_t step, std::optional<Ending> ending)> checkpoint;
  std::function<void(int64_t step, double loss)> stepped;
  std::function<bool()> stop_requested;
};

/// Continues from the trainer's step; if `resumed`, that step counts as already evaluated and checkpointed.
/// Ends with a checkpoint of the last step, unless its weights are not finite: these are never written, so
/// that the last checkpoint of a run that diverges is one to go on from. Nothing is evaluated or written
/// twice.
Ending run_loop(Trainer& trainer, const TrainSettings& settings, const CheckpointSchedule& schedule,
                const Condition& stop_when, const LoopEvents& events, bool resumed);

}  // namespace orrery::engine
