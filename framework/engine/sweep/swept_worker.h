// Runs of a sweep, trained in a process of their own: one, or several that take turns as replicas.
#pragma once

#include <string>
#include <vector>

#include "engine/sweep/sweep_plan.h"
#include "engine/sweep/swept_log.h"
#include "loader/registry.h"

namespace orrery::engine {

/// What a worker tells its supervisor: which of its runs, from 0, the kind, then for `step` a number, for
/// `failed` and `anew` a text. `anew`: what was there is damaged; it was set aside, as the text says, and the
/// run is made anew.
enum class SweptNews { step, done, stopped, busy, failed, anew };

/// Trains `runs`, or goes on with them, each unless another process works on it (`busy`); its notes go to its
/// sweep.log. Tells what becomes of each through `socket`; stops, with checkpoints, once anything comes from
/// there, or if it is closed. For the body of a Child.
void train_swept(const Registry& registry, const SweepPlan& plan, const std::vector<const SweptRun*>& runs,
                 int socket);

/// Notes in the log of `run` that its worker ended like this, unless another process works on it by now.
void note_crash(const SweepPlan& plan, const SweptRun& run, const std::string& what, const std::string& hint);

}  // namespace orrery::engine
