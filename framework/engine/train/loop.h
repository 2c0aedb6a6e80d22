// The training loop: when to evaluate, when to keep a checkpoint, when to end. What is done at these moments
// is the caller's.
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
  finished,   ///< all steps were made
  condition,  ///< train.stop_when held
  stopped,    ///< somebody asked for it
  diverged    ///< the loss was NaN or infinite
};
/// "finished", "condition", ...
std::string to_string(Ending ending);

/// What happens in a run besides updates. All are set; each is called between two updates.
struct LoopEvents {
  std::function<void(int64_t step, const Metrics&)> evaluated;
  /// To keep a checkpoint; `ending` says whether, and how, the loop ends with it.
  std::function<void(int64_t step, std::optional<Ending> ending)> checkpoint;
  std::function<void(int64_t step, double loss)> stepped;
  std::function<bool()> stop_requested;
};

/// Goes on from where the trainer is; where that is `resumed`, it is taken to have been evaluated and kept
/// there. However it ends, there is a checkpoint of the last step.
Ending run_loop(Trainer& trainer, const TrainSettings& settings, const CheckpointSchedule& schedule,
                const Condition& stop_when, const LoopEvents& events, bool resumed);

}  // namespace orrery::engine
