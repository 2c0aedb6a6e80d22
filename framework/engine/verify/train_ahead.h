// Trains several configs at a time, each in a process of its own, so that verifying them afterwards takes the
// runs that are there.
#pragma once

#include <filesystem>
#include <vector>

#include "engine/config/settings.h"
#include "engine/reporter/reporter.h"
#include "loader/registry.h"

namespace orrery::engine {

struct AheadConfig {
  Settings settings;
  std::filesystem::path path;  ///< of its run
};

/// Trains or goes on with the runs of `configs` that are not finished, at most `jobs` at a time, longest
/// first by steps. One that fails costs itself only: verify_config() meets the same failure and says it. This
/// process must not have used more than one thread yet. False if the reporter asked to stop; the runs so far
/// are kept.
bool train_ahead(const Registry& registry, const std::vector<AheadConfig>& configs, int jobs,
                 Reporter& reporter);

}  // namespace orrery::engine
