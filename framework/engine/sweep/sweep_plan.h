// The runs of a sweep, each with the folder that its config gives it. Planning reads configs and writes
// nothing; the sweep's folder keeps a copy of the plan, so that the sweep can be looked at without the file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/config/settings.h"
#include "engine/sweep/sweep_point.h"

namespace orrery::engine {

struct SweptRun {
  /// Names its folder: the first 12 digits of the SHA-256 of its resolved config without name, [verify] and
  /// [[expect]].
  std::string id;
  SweepPoint point;
  std::shared_ptr<const Settings> settings;  ///< null in a plan that was read from a sweep's folder
};

struct SweepPlan {
  SweepFile file;
  std::filesystem::path folder;
  std::vector<SweptRun> runs;  ///< each config once, in the order of the points
  size_t n_points = 0;         ///< more than runs if some resolve to the same config

  std::filesystem::path run_folder(const SweptRun& run) const { return folder / "runs" / run.id; }
  /// A run's lock for sweeps, held by the process that works on it, even before the run exists.
  std::filesystem::path lock_folder(const SweptRun& run) const { return folder / "locks" / run.id; }
  /// The keys that runs differ in, in the order of the file; "seed" last.
  std::vector<std::string> keys() const;
};

std::string identity(const Settings& settings);

/// "runs/sweeps/NAME".
std::filesystem::path sweep_folder(const SweepFile& file);

/// Resolves every point. Throws UsageError for the first error, with its place and its point. `folder`: that
/// of the sweep, if not sweep_folder().
SweepPlan plan_sweep(const std::filesystem::path& file, const ParametersOf& parameters_of,
                     const std::filesystem::path& folder = {});

/// Writes FOLDER/plan.json, atomically.
void write_plan(const SweepPlan& plan);
/// Reads it back. Throws UsageError if the folder holds none.
SweepPlan read_plan(const std::filesystem::path& folder);

/// The folders below FOLDER/runs that are of no run of the plan, sorted.
std::vector<std::string> left_over(const SweepPlan& plan);

}  // namespace orrery::engine
