// An overview of a run, printed by `orrery show` and at the end of training. Lists damaged parts of the run
// and skips them.
#pragma once

#include <orrery/probe.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/inspect/run_state.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_json.h"

namespace orrery::engine {

/// The results of one probe.
struct ProbeOverview {
  std::string label;
  std::string plugin, version;  ///< the version that computed the last result; "" if there is none
  int64_t n_results = 0;
  int64_t n_due = 0;       ///< n_results, and the checkpoints that are there, where it is due and has none
  int64_t n_gone = 0;      ///< the results whose checkpoint is gone
  bool configured = true;  ///< whether the last session asked it; else its results are of earlier ones
  std::vector<Curve> headlines;  ///< in the order in which the probe recorded them
  std::optional<ProbeResult> last, null, conclusion;
};

struct RunOverview {
  std::filesystem::path root;
  std::optional<RunJson> info;  ///< nothing if run.json is damaged
  RunState state = RunState::damaged;
  bool being_written = false;  ///< whether a process is training or probing the run
  std::optional<int64_t> resumable_from;
  int64_t n_rows = 0;          ///< of metrics.jsonl
  std::vector<Curve> metrics;  ///< the columns of metrics.jsonl, in their order
  std::vector<CheckpointFile> checkpoints;
  uintmax_t checkpoint_bytes = 0;     ///< including the state files for resuming
  std::vector<ProbeOverview> probes;  ///< those of the config first, in its order
  std::vector<Error> damage;

  /// The last step among the metrics and checkpoints.
  int64_t step() const;
  /// Of a result at `step`: "step 1,000 (session 1 of 2)", or without the session if that is not known.
  std::string step_text(int64_t step) const;
  /// Null if there is no such column.
  const Curve* metric(const std::string& name) const;
  /// Whether any example of "train" or "test" was ever scored: an empty set has no numbers.
  bool scored(const std::string& set) const;
};

/// Throws orrery::UsageError if there is no run.
RunOverview look_at(const std::filesystem::path& run);

/// A point of a curve.
struct Extreme {
  int64_t step;
  double value;
};
/// The first lowest or highest point; nothing if the curve has no number.
std::optional<Extreme> lowest(const Curve& curve);
std::optional<Extreme> highest(const Curve& curve);
/// The lowest point of a loss, the highest of an accuracy; nothing for other metrics, which have no best
/// value.
std::optional<Extreme> best(const Curve& curve);
/// The first step at which the curve is at least `threshold`.
std::optional<int64_t> first_at_least(const Curve& curve, double threshold);

}  // namespace orrery::engine
