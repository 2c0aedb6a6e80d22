// Makes the task, the data, the model and the probes of every point before anything starts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/reporter/reporter.h"
#include "engine/sweep/sweep_plan.h"
#include "loader/registry.h"

namespace orrery::engine {

/// The number of parameters of each of `runs`, by id. Of runs that differ in seeds alone it makes one. Works
/// in a fork, so that a plugin's crash names the point, and no thread begins here. Throws UsageError, naming
/// the point, for the first that cannot be made; Error for a crash. Throws UsageError, too, for a metric that
/// a reading, a claim or the `checkpoint` of a stage names and that no run of the plan writes; scalars of
/// probes are not known before they are measured. Nothing more is looked at once the reporter asks to stop.
std::map<std::string, int64_t> check_points(const Registry& registry, const SweepPlan& plan,
                                            const std::vector<const SweptRun*>& runs,
                                            const Reporter& reporter);

}  // namespace orrery::engine
