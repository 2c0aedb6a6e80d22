// Decides which of the requested results are stored already and which are due, by provenance rather than by
// name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/run/history.h"
#include "engine/run/provenance.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// Makes the provenance of results. Hashes each file once.
class Provenances {
 public:
  Provenances(const Experiment& experiment, const RunDirectory& run) : experiment_(experiment), run_(run) {}

  /// Each of these throws orrery::Error if a checkpoint cannot be read, and orrery::UsageError if the
  /// reference does not exist.
  Provenance of(const ProbeInRun& probe, int64_t step);
  Provenance of_null(const ProbeInRun& probe);
  Provenance of_history(const ProbeInRun& probe, const RunHistory& history);
  /// Without anything measured: for same_identity().
  Provenance question(const ProbeInRun& probe);
  /// The SHA-256 of a checkpoint.
  const std::string& hash(int64_t step);

 private:
  Provenance make(const ProbeInRun& probe, const std::string& of);

  const Experiment& experiment_;
  const RunDirectory& run_;
  std::map<int64_t, std::string> hashes_;
};

/// One line of the output: a checkpoint, its known results, and the probes that are still due.
struct Row {
  CheckpointFile checkpoint;
  std::map<const ProbeInRun*, Record> known;  ///< scalars, headlines and findings only
  std::vector<const ProbeInRun*> due;
  std::vector<const ProbeInRun*> of_other_build = {};  ///< those of `known` whose plugin was rebuilt since
};

enum class Reuse { stored, none };

/// Throws orrery::UsageError if the label of a probe holds results of another probe, parameters or reference,
/// which would be lost.
void check_labels(const Experiment& experiment, const RunDirectory& run);

/// One row for each of `checkpoints` at which a probe is due. Throws as check_labels() does.
std::vector<Row> plan_rows(const Experiment& experiment, const RunDirectory& run, Provenances& provenances,
                           const std::vector<CheckpointFile>& checkpoints, Reuse reuse);

/// The stored null or conclusion of `probe`, if it has this provenance.
std::optional<Record> stored_run_level(const RunDirectory& run, const ProbeInRun& probe, RunLevelResult aside,
                                       const Provenance& provenance);

}  // namespace orrery::engine
