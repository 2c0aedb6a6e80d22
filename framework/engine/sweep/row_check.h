// Refuses readings of rows that no run of a sweep will have, before anything is trained.
#pragma once

#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

/// Throws UsageError, with its place, for a reading whose `when` no run of the plan has a row for, with the
/// steps around it that have one.
void refuse_missing_rows(const SweepPlan& plan);

}  // namespace orrery::engine
