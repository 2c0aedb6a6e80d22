// One run of a sweep, trained in a process of its own.
#pragma once

#include <string>

#include "engine/sweep/sweep_plan.h"
#include "engine/sweep/swept_log.h"
#include "loader/registry.h"

namespace orrery::engine {

/// What a worker tells its supervisor: the kind, then for `step` a number, for `failed` and `anew` a text.
/// `anew`: what was there is damaged; it was set aside, as the text says, and the run is made anew.
enum class SweptNews { step, done, stopped, busy, failed, anew };

/// Trains `run`, or goes on with it, unless another process works on it (`busy`); its notes go to its
/// sweep.log. Tells what becomes of it through `socket`; stops, with a checkpoint, once anything comes from
/// there, or if it is closed. For the body of a Child.
void train_swept(const Registry& registry, const SweepPlan& plan, const SweptRun& run, int socket);

/// Notes in the log of `run` that its worker ended like this, unless another process works on it by now.
void note_crash(const SweepPlan& plan, const SweptRun& run, const std::string& what, const std::string& hint);

}  // namespace orrery::engine
