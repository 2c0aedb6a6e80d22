// What `--json` prints: one object per line, on stdout.
#pragma once

#include <string>

#include "engine/inspect/overview.h"
#include "engine/run/json_write.h"
#include "engine/training/training_run.h"

namespace orrery::cli {

using namespace engine;

void print_json(const Json& object);

/// {"run", "step", "metrics": {name: value}}.
Json metrics_of(const std::string& run, const MetricsRow& row);

/// {"run", "ended", "step", "steps", "metrics": {name: value at the last evaluation}, "probes": {label:
/// {headline: last value}}, "earlier_probes": {label: {"step", "session", "headlines"}} (of those that the
/// session did not ask), "failed_probes": [{"probe", "failed", "asked", "error"}]}.
Json training_json(const RunOverview& seen, const TrainedRun& trained);

}  // namespace orrery::cli
