// Lists the runs in folders, for `orrery runs`. Reads only run.json and the last line of metrics.jsonl of
// each, so that hundreds of runs take no time.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/inspect/changes.h"
#include "engine/inspect/run_state.h"
#include "engine/run/json_line.h"
#include "engine/run/run_json.h"

namespace orrery::engine {

struct RunSummary {
  std::filesystem::path path;
  std::optional<RunJson> info;
  RunState state = RunState::damaged;
  int64_t step = 0;
  std::optional<MetricsRow> last;       ///< the last row of its metrics
  std::string damage;                   ///< what cannot be read, and why
  std::vector<Difference> differences;  ///< from the configs of the other listed runs
  std::vector<std::pair<std::string, std::string>>
      kernels;  ///< those on which the listed runs differ, by key

  /// The value of a metric in the last row.
  std::optional<double> metric(const std::string& name) const;
};

/// The runs in or below `folder`, sorted. Does not descend into runs, hidden folders, or links to folders
/// that are not runs. Throws orrery::UsageError if there is no such folder.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& folder);

/// The folder of the sweep that the run at `path` is of, if that lies below `folder`; nothing for others.
std::optional<std::filesystem::path> sweep_below(const std::filesystem::path& folder,
                                                 const std::filesystem::path& path);

/// Never throws orrery::Error: reports what is damaged in the summary.
RunSummary list_run(const std::filesystem::path& path);

/// The runs whose config has KEY=VALUE for every one of `filters`. KEY is a dotted key of the config, or the
/// part after its last dot; also task, model and state. Throws orrery::UsageError for a key that none of them
/// has.
std::vector<RunSummary> filtered(std::vector<RunSummary> runs, const std::vector<std::string>& filters);

/// Sorts by "name" (the path), "time" (newest first) or a metric (best first: the lowest loss, the highest of
/// any other metric; runs without it last). Throws orrery::UsageError for a metric that none has.
void sort_runs(std::vector<RunSummary>& runs, const std::string& by);

/// Fills in the `differences` and the `kernels` of each: runs of the same seeds and other kernels end in
/// other bits.
void compare_configs(std::vector<RunSummary>& runs);

/// A line of `orrery runs --json`; its help text documents it.
std::string listing_json(const RunSummary& run);

}  // namespace orrery::engine
