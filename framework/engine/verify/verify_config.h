// Reproduces a published result: trains the config that states it, and judges the run.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "engine/config/settings.h"
#include "engine/reporter/reporter.h"
#include "engine/verify/verdict.h"
#include "loader/registry.h"

namespace orrery::engine {

enum class FoundRun { nothing, unfinished, diverged, finished };

/// What `path` holds of the run of `settings`. Throws orrery::UsageError if it is the run of another config.
FoundRun find_run(const std::filesystem::path& path, const Settings& settings, const Registry& registry);

/// Trains `settings` in `path`, or resumes or reuses its run if that is there already, and judges its
/// [[expect]] entries. Nothing if the reporter asked to stop. Throws orrery::UsageError if `path` holds the
/// run of another config.
std::optional<std::vector<Verdict>> verify_config(const Registry& registry, const Settings& settings,
                                                  const std::filesystem::path& path, Reporter& reporter);

}  // namespace orrery::engine
