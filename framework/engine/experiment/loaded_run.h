// A run's network as it was at one of its checkpoints, for commands that look at one.
#pragma once

#include <memory>
#include <string>

#include "engine/experiment/experiment.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// The checkpoint of `which` ("last" or a step). Throws orrery::UsageError, saying what there is, if there is
/// none.
CheckpointFile choose_checkpoint(const RunDirectory& run, const std::string& option,
                                 const std::string& which);

class LoadedRun {
 public:
  /// Opens `path` for reading and makes the model of its config, with the weights of the checkpoint `which`.
  LoadedRun(const Registry& registry, const std::string& path, const std::string& option,
            const std::string& which);

  Experiment& experiment() { return *experiment_; }
  int64_t step() const { return step_; }
  /// Train or test examples, or every input of the task. Throws orrery::UsageError for a grid where there is
  /// none.
  const Batch& inputs(const std::string& which) const;

 private:
  RunDirectory run_;
  std::unique_ptr<Experiment> experiment_;
  int64_t step_;
};

}  // namespace orrery::engine
