// Refuses readings of rows that no run of a sweep will have, before anything is trained.
#pragma once

#include "engine/config/expect.h"
#include "engine/config/settings.h"
#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

/// Whether a run of `settings` that goes on to its last step has a row that `question` asks about: the curves
/// have one at step 0, at each multiple of train.eval_every and at the last step, a probe at each checkpoint
/// that is a multiple of its `every`; nulls and conclusions are of the whole run.
bool has_row(const Settings& settings, const Expectation& question);

/// Throws UsageError, with its place, for a reading whose `when` no run of the plan has a row for, with the
/// steps around it that have one.
void refuse_missing_rows(const SweepPlan& plan);

}  // namespace orrery::engine
