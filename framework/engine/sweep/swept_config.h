// Whether the run in a folder of a sweep is the run that the plan has there.
#pragma once

#include <filesystem>
#include <string>

#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

ConfigValues config_values(const Json& config);
/// What `config` has beside `defaults`; null for what it lacks.
ConfigValues beside(const ConfigValues& defaults, const ConfigValues& config);

/// How the run with this config in the folder of `run` differs from it: the first key that does, what it is
/// and what the sweep has; "" if it does not. The whole config counts, less what is left out of a run's
/// identity; so do the values that earlier sessions trained with. A key that an earlier version did not know
/// has its default, and a run of a later stage may have been moved with the one that it started from. Throws
/// orrery::Error if run.json cannot be read.
std::string other_run(const SweepPlan& plan, const SweptRun& run, const Json& config);

}  // namespace orrery::engine
