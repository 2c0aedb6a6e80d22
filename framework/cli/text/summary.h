// What a training says when it begins and when it ends.
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

/// When accuracies reached 100 %, the last losses, what probes found, and what to type next.
/// Of a run that was trained to its end, with its run.json.
std::string summary_text(const RunOverview& seen, Ending ending);

}  // namespace orrery::cli
