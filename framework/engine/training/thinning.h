// Thins the checkpoints of a run while it is trained, as checkpoints.keep_last asks.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/reporter/reporter.h"
#include "engine/run/run_directory.h"
#include "engine/train/schedule.h"
#include "engine/train/trainer.h"

namespace orrery::engine {

/// The steps that the `reference` of a probe names.
std::set<int64_t> referenced_steps(const std::vector<ProbeChoice>& probes);

class Thinning {
 public:
  /// Does nothing without checkpoints.keep_last. Both references must outlive it.
  Thinning(const Experiment& experiment, RunDirectory& run);

  /// Tells it the metrics of each evaluation, so that the checkpoint at which the run grokked stays.
  void evaluated(int64_t step, const Metrics& metrics);
  /// Every probe that is due at `step` has been asked.
  void asked(int64_t step) { asked_.insert(step); }
  /// Drops the checkpoints that need not stay, except those that a probe has yet to measure.
  void thin();
  /// Drops these, too: at the end, all have been asked for.
  void thin_all();

 private:
  void drop(bool unmeasured_too);
  bool measured(int64_t step);

  const Experiment& experiment_;
  RunDirectory& run_;
  CheckpointSchedule schedule_;
  std::set<int64_t> asked_;
  std::optional<int64_t> grokked_;  // the first evaluation with grokked_accuracy
};

/// Warns if checkpoints.keep_last takes from probes that fit to another checkpoint what they would measure.
void warn_of_thinning(const Experiment& experiment, Reporter& reporter);

}  // namespace orrery::engine
