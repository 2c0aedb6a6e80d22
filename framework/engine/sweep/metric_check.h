// Refuses metrics that no run of a sweep writes, before anything is trained.
#pragma once

#include <orrery/task.h>

#include <string>
#include <vector>

#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

/// The columns of metrics.jsonl of a run on a task with this `spec`.
std::vector<std::string> metrics_of(const TaskSpec& spec);

/// Throws UsageError, with its place, for a metric of a reading, of a claim about curves or of a stage's
/// `checkpoint` that is neither `written` by runs of the plan nor in the files of one, and for a scalar of a
/// probe that none of them has. Which scalars a probe records is known once it has measured.
void refuse_unknown_metrics(const SweepPlan& plan, const std::vector<std::string>& written);

}  // namespace orrery::engine
