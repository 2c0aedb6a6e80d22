// Probes whose results some of the compared runs lack.
#pragma once

#include <optional>
#include <vector>

#include "engine/compare/comparison.h"

namespace orrery::engine {

/// What two of the runs or more could have and some have not; with `measure_them`, what could not be measured
/// even so is left: the others are measured at the runs' checkpoints first, and stored in the runs. Results
/// are read again then. Nothing where the reporter asked to stop. Forks workers: this process must have one
/// thread.
std::optional<std::vector<MissingProbe>> missing_probes(const Registry& registry, ComparedRuns& runs,
                                                        bool measure_them, Reporter& reporter);

}  // namespace orrery::engine
