// Whether the results that a claim is judged by were measured by the probes that are here.
#pragma once

#include <filesystem>
#include <vector>

#include "engine/reporter/reporter.h"
#include "loader/registry.h"

namespace orrery::engine {

/// Warns once for each probe whose last result in some of `runs` is of another version of its plugin, and
/// says how to measure again. `runs_text` names the runs in that command: "runs/x". Says nothing of probes
/// that are not loaded, or of results that cannot be read.
void warn_of_other_versions(const std::vector<std::filesystem::path>& runs, const std::string& runs_text,
                            const Registry& registry, Reporter& reporter);

}  // namespace orrery::engine
