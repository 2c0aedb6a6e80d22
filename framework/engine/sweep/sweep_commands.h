// A sweep as command lines, for GNU parallel, HyperQueue or Snakemake.
#pragma once

#include <string>

#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

/// `orrery train BASE --set KEY=VALUE ... --out FOLDER`, quoted for a POSIX shell.
std::string command_of(const SweepPlan& plan, const SweptRun& run);

}  // namespace orrery::engine
