// Finds, and on request measures, probes whose results some of the compared runs lack.
#pragma once

#include <optional>
#include <vector>

#include "engine/compare/comparison.h"

namespace orrery::engine {

/// The probes that apply to at least two of the runs and that some of them lack. With `measure_them`, first
/// measures them at the runs' checkpoints, stores the results in the runs, reads those again, and returns
/// only what could not be measured. Nothing if the reporter asked to stop. Forks workers: this process must
/// have one thread.
std::optional<std::vector<MissingProbe>> missing_probes(const Registry& registry, ComparedRuns& runs,
                                                        bool measure_them, Reporter& reporter);

}  // namespace orrery::engine
