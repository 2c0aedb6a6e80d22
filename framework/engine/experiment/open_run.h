// The one way to open a stored run: to probe it, to intervene on it, to compare it, to go on with it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// The settings in a run's run.json, with `overrides` ("train.steps=4000") applied.
Settings read_settings(const RunDirectory& run, const Registry& registry,
                       const std::vector<std::string>& overrides = {});

/// The checkpoint that `which` names: "last", a step, or "grokked", the first at or after the first
/// evaluation with 99 % test accuracy. Throws UsageError, opening with `option` and saying what there is, if
/// there is none.
CheckpointFile choose_checkpoint(const RunDirectory& run, const std::string& which,
                                 const std::string& option = "--step");

/// Loads the weights of `checkpoint` into the model. Throws Error, naming the file, if they do not fit.
void load_checkpoint(Experiment& experiment, const CheckpointFile& checkpoint);

/// A run's network as it was at one of its checkpoints. Whatever [init] started it from is not needed: its
/// weights come from the checkpoint.
class NetworkAtStep {
 public:
  /// Opens `path` for reading, makes the experiment of its config on the CPU, and loads the checkpoint
  /// `which` (see choose_checkpoint).
  NetworkAtStep(const Registry& registry, const std::string& path, const std::string& which = "last",
                const std::string& option = "--step");

  const RunDirectory& run() const { return run_; }
  Experiment& experiment() { return *experiment_; }
  const Experiment& experiment() const { return *experiment_; }
  const CheckpointFile& checkpoint() const { return checkpoint_; }
  int64_t step() const { return checkpoint_.step; }
  /// "train", "test" or, every input of the task, "grid". Throws UsageError for a grid where there is none.
  const Batch& inputs(const std::string& which) const;

 private:
  RunDirectory run_;
  CheckpointFile checkpoint_;
  std::unique_ptr<Experiment> experiment_;
};

}  // namespace orrery::engine
