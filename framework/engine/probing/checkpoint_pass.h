// Probes over what a run has stored: its checkpoints, and, for the null of their results, random weights. In
// this process; run_in_workers (work.h) has others do it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// The checkpoint that `probe` is fitted to, or nothing where it does not wait for one. Throws
/// orrery::UsageError if `run` has none of that step.
std::optional<CheckpointFile> reference_of(const ProbeInRun& probe, const RunDirectory& run);

/// Fits probes to their references the first time they are used, and keeps them fitted.
class CheckpointPass {
 public:
  /// All outlive the pass.
  CheckpointPass(Experiment& experiment, const RunDirectory& run, ProbeListener listener = {});

  /// What the probes say of one checkpoint, one outcome each. Throws orrery::Error if it cannot be read.
  /// Leaves its weights, or those of a reference, in the model.
  std::vector<Outcome> measure(const CheckpointFile& checkpoint, std::vector<const ProbeInRun*> probes);
  /// What they say of random weights.
  std::vector<Outcome> measure_null(std::vector<const ProbeInRun*> probes);
  /// What they conclude from the curves of the run.
  std::vector<Outcome> conclude(std::vector<const ProbeInRun*> probes, const std::vector<Curve>& curves);

 private:
  std::vector<Outcome> fit(std::vector<const ProbeInRun*>& probes);

  Experiment& experiment_;
  const RunDirectory& run_;
  ProbeListener listener_;
  std::set<const ProbeInRun*> fitted_;
  std::map<const ProbeInRun*, Outcome> unusable_;
};

}  // namespace orrery::engine
