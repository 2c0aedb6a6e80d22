// The curves of a run for TensorBoard.
#pragma once

#include <filesystem>
#include <string>

#include "engine/reporter/reporter.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// Writes an event file with every metric and every scalar of probes into the folder `out`; if that is empty,
/// into tensorboard/ in the run. Returns the folder. Throws orrery::UsageError if the folder has event files
/// already.
std::filesystem::path export_curves(const RunDirectory& run, const std::string& out, Reporter& reporter);

}  // namespace orrery::engine
