// The runs of a sweep, each with the folder that its config gives it. Planning reads configs and writes
// nothing; the sweep's folder keeps a copy of the plan, so that the sweep can be looked at without the file.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/settings.h"
#include "engine/run/json_read.h"
#include "engine/sweep/sweep_point.h"

namespace orrery::engine {

/// The run that a run of a later stage starts from, and at which checkpoint.
struct SweepStart {
  std::filesystem::path sweep;  ///< the folder of the sweep it is in; empty: this one
  std::string stage, run;       ///< its stage ("" if that sweep has none) and its id
  StartRule rule = {};
};

/// A config by dotted key, probe.LABEL.KEY for those of probes, without describing_keys().
using ConfigValues = std::map<std::string, Json>;

struct SweptRun {
  /// Names its folder; see identity_of().
  std::string id;
  SweepPoint point;
  std::shared_ptr<const Settings> settings;  ///< null in a plan that was read from a sweep's folder
  std::optional<SweepStart> start = {};
  /// What its config has for the keys that claims ask for and the sweep does not set.
  std::vector<Override> resolved = {};
  /// Where its config differs from the plan's `defaults`; null for a key that it does not have.
  ConfigValues config = {};

  /// The coordinates of its point, then `resolved`.
  std::vector<Override> values() const;
};

struct SweepPlan {
  SweepFile file;
  std::filesystem::path folder;
  std::vector<SweptRun> runs;  ///< each config once, in the order of the points; stage after stage
  size_t n_points = 0;         ///< more than runs if some resolve to the same config
  /// The config of the task, the model and the probes of the first run with every other key at its default;
  /// empty in a copy of the plan that an earlier version wrote.
  ConfigValues defaults = {};
  /// The plans of the sweeps whose runs these start from, by folder; without those that cannot be read.
  std::map<std::string, std::shared_ptr<const SweepPlan>> others = {};

  std::filesystem::path run_folder(const SweptRun& run) const { return folder / "runs" / run.id; }
  /// A run's lock for sweeps, held by the process that works on it, even before the run exists.
  std::filesystem::path lock_folder(const SweptRun& run) const { return folder / "locks" / run.id; }
  /// The keys that runs differ in, in the order of the file; "stage" first, "seed" last.
  std::vector<std::string> keys() const;
  /// Null if it has no run of that id.
  const SweptRun* find(const std::string& id) const;
  Keep keep_of(const SweptRun& run) const { return file.keep_of(run.point.stage); }
};

/// The first 12 digits of the SHA-256 of these choices of task, model and probes, of the keys `set` to
/// another value than their default, and of the run and the checkpoint that it starts from, if it does. So a
/// key that a later version adds, with a default that changes nothing, makes no other run. Name, [verify] and
/// [[expect]] are not part of it.
std::string identity_of(const Json& choices, const ConfigValues& set, const std::optional<SweepStart>& start);
/// The same in plans that say nothing of defaults, of earlier versions: that of the whole resolved config.
std::string earlier_identity_of(Json config, const std::optional<SweepStart>& start);

/// "runs/sweeps/NAME".
std::filesystem::path sweep_folder(const SweepFile& file);

/// Resolves every point. Throws UsageError for the first error, with its place and its point; also for an
/// [[exclude]] or a `where` that is of no run. `folder`: that of the sweep, if not sweep_folder().
SweepPlan plan_sweep(const std::filesystem::path& file, const ParametersOf& parameters_of,
                     const std::filesystem::path& folder = {});

/// Writes FOLDER/plan.json, atomically, with a checksum.
void write_plan(const SweepPlan& plan);
/// Reads it back. Throws UsageError if the folder holds none, Error if it is damaged.
SweepPlan read_plan(const std::filesystem::path& folder);

/// The folders below FOLDER/runs that are of no run of the plan, sorted.
std::vector<std::string> left_over(const SweepPlan& plan);

/// The value of a key of `--set` in a resolved config; nothing if it has no such key.
std::optional<Value> value_in(const Json& config, const std::string& key);
/// A value of a key as JSON has it. Throws orrery::Error, opening with `where`, if it is none.
Value value_of_json(const Json& json, const std::string& where);

}  // namespace orrery::engine
