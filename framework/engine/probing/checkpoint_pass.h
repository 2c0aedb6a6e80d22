// Runs probes over the checkpoints of a run and, for their nulls, over random weights, in this process;
// run_in_workers (work.h) runs it in others.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// The checkpoint that `probe` is fitted to; nothing if it does not wait for one. Throws orrery::UsageError
/// if `run` has no checkpoint of that step.
std::optional<CheckpointFile> reference_of(const ProbeInRun& probe, const RunDirectory& run);

/// Fits each probe to its reference on first use, and keeps it fitted.
class CheckpointPass {
 public:
  /// `experiment` and `run` must outlive the pass.
  CheckpointPass(Experiment& experiment, const RunDirectory& run, ProbeListener listener = {});

  /// Measures one checkpoint with the probes, one outcome each. Throws orrery::Error if the checkpoint cannot
  /// be read. Leaves its weights, or those of a reference, in the model.
  std::vector<Outcome> measure(const CheckpointFile& checkpoint, std::vector<const ProbeInRun*> probes);
  /// Measures random weights.
  std::vector<Outcome> measure_null(std::vector<const ProbeInRun*> probes);
  /// Asks the probes for conclusions.
  std::vector<Outcome> conclude(std::vector<const ProbeInRun*> probes, const HistoryOf& history_of);

 private:
  void load(const CheckpointFile& checkpoint);
  std::vector<Outcome> fit(std::vector<const ProbeInRun*>& probes);

  Experiment& experiment_;
  const RunDirectory& run_;
  ProbeListener listener_;
  std::set<const ProbeInRun*> fitted_;
  std::map<const ProbeInRun*, Outcome> unusable_;
};

}  // namespace orrery::engine
