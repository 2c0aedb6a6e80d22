// The messages at the beginning and the end of training.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/experiment/experiment.h"
#include "engine/inspect/overview.h"
#include "engine/run/run_directory.h"
#include "engine/training/training_run.h"

namespace orrery::cli {

using namespace engine;

/// "its last result is of step 20 (session 1 of 2)", or up to where its conclusion looked.
std::string last_result_text(const RunOverview& seen, const ProbeOverview& probe);

/// Accuracies and losses in the end, when accuracies reached 100 % or were best, what probes found and which
/// of them failed, and what to type next. The run must have ended and must have a run.json.
std::string summary_text(const RunOverview& seen, const TrainedRun& trained);

}  // namespace orrery::cli
