// A run at a glance: what `orrery show` prints, and a training at its end. Whatever of the run is damaged is
// named, and passed over.
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

/// What one probe has said.
struct ProbeOverview {
  std::string label;
  std::string plugin, version;  ///< the version that computed the last result; "" where there is none
  int64_t n_results = 0;
  int64_t n_due = 0;             ///< how many checkpoints it is to be asked at
  std::vector<Curve> headlines;  ///< in the order in which the probe recorded them
  std::optional<ProbeResult> last, null, conclusion;
};

struct RunOverview {
  std::filesystem::path root;
  std::optional<RunJson> info;  ///< nothing where run.json is damaged
  RunState state = RunState::damaged;
  bool being_written = false;  ///< a process holds the run, be it to train it or to probe it
  std::optional<int64_t> resumable_from;
  int64_t n_rows = 0;          ///< of metrics.jsonl
  std::vector<Curve> metrics;  ///< its columns, in the order of the file
  std::vector<CheckpointFile> checkpoints;
  uintmax_t checkpoint_bytes = 0;     ///< with what resuming needs
  std::vector<ProbeOverview> probes;  ///< first those of the config, as they stand there
  std::vector<Error> damage;

  /// The updates made: what the metrics or checkpoints have come to.
  int64_t step() const;
  /// Nothing where there is no such column.
  const Curve* metric(const std::string& name) const;
};

/// Throws orrery::UsageError where there is no run.
RunOverview look_at(const std::filesystem::path& run);

/// A point of a curve.
struct Extreme {
  int64_t step;
  double value;
};
/// Nothing where the curve has no number. Of several points the first.
std::optional<Extreme> lowest(const Curve& curve);
std::optional<Extreme> highest(const Curve& curve);
/// The lowest of a loss, the highest of an accuracy; nothing of other metrics, of which none is better.
std::optional<Extreme> best(const Curve& curve);
/// The first step at which the curve is at least `threshold`.
std::optional<int64_t> first_at_least(const Curve& curve, double threshold);

}  // namespace orrery::engine
