// The runs in folders: what `orrery runs` lists. Of each only run.json and the last line of metrics.jsonl are
// read, so that hundreds take no time.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
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
  std::optional<MetricsRow> last;       ///< of its metrics
  std::string damage;                   ///< what cannot be read, and why
  std::vector<Difference> differences;  ///< keys of its config that other listed runs have otherwise

  /// The value of a metric in its last row.
  std::optional<double> metric(const std::string& name) const;
};

/// Folders with a run in or below `folder`, sorted; not what lies within a run, in hidden folders, or behind
/// links to folders that are none. Throws orrery::UsageError where there is no such folder.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& folder);

/// Never throws orrery::Error: what is damaged says so.
RunSummary list_run(const std::filesystem::path& path);

/// Those whose config has KEY=VALUE, for each of `filters`. KEY is one of the config, dotted, or what is
/// behind its last dot; task, model, and state too. Throws orrery::UsageError for a key that none of them
/// has.
std::vector<RunSummary> filtered(std::vector<RunSummary> runs, const std::vector<std::string>& filters);

/// By "name" (the path), "time" (the newest first) or a metric: the best first, which is the lowest of a loss
/// and the highest of everything else; runs without it come last. Throws orrery::UsageError for one that none
/// has.
void sort_runs(std::vector<RunSummary>& runs, const std::string& by);

/// Fills in what differs between them.
void compare_configs(std::vector<RunSummary>& runs);

/// A line of `orrery runs --json`, which documents it.
std::string listing_json(const RunSummary& run);

}  // namespace orrery::engine
