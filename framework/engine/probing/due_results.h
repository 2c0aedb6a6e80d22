// What is there already of the results asked for, and what is still to be computed: by content, not by name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/run/provenance.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// Says of results what they were computed from. Files are hashed once.
class Provenances {
 public:
  Provenances(const Experiment& experiment, const RunDirectory& run) : experiment_(experiment), run_(run) {}

  /// All of these throw orrery::Error if a checkpoint cannot be read, orrery::UsageError if the
  /// reference does not exist.
  Provenance of(const ProbeInRun& probe, int64_t step);
  Provenance of_null(const ProbeInRun& probe);
  Provenance of_curves(const ProbeInRun& probe, const std::vector<Curve>& curves);
  /// With nothing looked at: for same_identity().
  Provenance question(const ProbeInRun& probe);

 private:
  Provenance make(const ProbeInRun& probe, const std::string& of);
  const std::string& hash(int64_t step);

  const Experiment& experiment_;
  const RunDirectory& run_;
  std::map<int64_t, std::string> hashes_;
};

/// One line of the output: a checkpoint, what was known of it, what is still to be asked.
struct Row {
  CheckpointFile checkpoint;
  std::map<const ProbeInRun*, Record> known;  ///< scalars, headlines and findings only
  std::vector<const ProbeInRun*> due;
};

enum class Reuse { stored, none };

/// Throws orrery::UsageError where results of another question are stored under the label of a probe: they
/// would be lost.
void check_labels(const Experiment& experiment, const RunDirectory& run);

/// One row for each of `checkpoints` that a probe is due at. Throws as check_labels().
std::vector<Row> plan_rows(const Experiment& experiment, const RunDirectory& run, Provenances& provenances,
                           const std::vector<CheckpointFile>& checkpoints, Reuse reuse);

/// The stored null or conclusion of `probe`, if its provenance is this.
std::optional<Record> stored_run_level(const RunDirectory& run, const ProbeInRun& probe, RunLevelResult aside,
                                       const Provenance& provenance);

}  // namespace orrery::engine
