// The messages at the beginning and the end of training.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/experiment/experiment.h"
#include "engine/inspect/overview.h"
#include "engine/run/run_directory.h"
#include "engine/train/loop.h"

namespace orrery::cli {

using namespace engine;

/// When accuracies reached 100 %, the last losses, what probes found, and what to type next. The run must
/// have ended and must have a run.json.
std::string summary_text(const RunOverview& seen, Ending ending);

}  // namespace orrery::cli
