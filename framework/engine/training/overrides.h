// What may change when a run is resumed.
#pragma once

#include "engine/config/settings.h"
#include "engine/experiment/experiment.h"
#include "engine/reporter/reporter.h"
#include "engine/run/json_read.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// The keys of the config that differ: `[{"key": "train.steps", "from": 200, "to": 400}]`. [[probe]],
/// [verify] and [[expect]] count as one key each. Throws orrery::UsageError for a key that makes it another
/// experiment: what was trained up to here would be described wrongly.
Json changes_on_resume(const Settings& before, const Settings& now);

/// Warns if another number of steps bends the schedule of the learning rate at `step`, where training goes
/// on.
void warn_of_schedule(const Json& changes, const TrainSettings& now, int64_t step, Reporter& reporter);

/// Throws orrery::UsageError if the task's data are not those that the run was trained on: a file of examples
/// may have changed, or the version of the task. Runs of earlier versions do not say what their data were.
void refuse_other_data(const RunDirectory& run, const Experiment& experiment);

}  // namespace orrery::engine
