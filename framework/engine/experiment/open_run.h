// The one way to open a stored run, whether to probe, intervene on, compare or resume it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_json.h"

namespace orrery::engine {

/// What a stored run is opened for. Looking at it needs neither its loss nor its updates, so these plugins
/// may be missing.
enum class OpenFor { training, looking };

/// The settings in a run's run.json, with `overrides` ("train.steps=4000") applied.
Settings read_settings(const RunDirectory& run, const Registry& registry, OpenFor what = OpenFor::looking,
                       const std::vector<std::string>& overrides = {});

/// The test accuracy from which on a run counts as grokked.
constexpr double grokked_accuracy = 0.99;

/// The first of the steps `there` (ascending) at or after the first evaluation with 99 % test accuracy.
/// Throws UsageError, opening with `option`, if there is none.
int64_t grokked_step(const RunDirectory& run, const std::vector<int64_t>& there, const std::string& option);

/// The checkpoint that `which` names: "first", "last", a step, or "grokked" (see grokked_step). If there is
/// none, throws UsageError that opens with `option` and lists what there is.
CheckpointFile choose_checkpoint(const RunDirectory& run, const std::string& which,
                                 const std::string& option = "--step");

/// Throws UsageError for the first of `steps` whose checkpoint is gone, but not what was measured from it.
void refuse_gone(const RunDirectory& run, const std::vector<int64_t>& steps, const std::string& option);

/// A warning and its hint if `now` is not the plugin that a run was made with: another version, or another
/// build of the same one. Nothing if it is, or if the run does not tell.
std::optional<std::pair<std::string, std::string>> other_plugin(const PluginInfo& before, const Plugin& now);

/// Loads the weights of `checkpoint` into the model. Throws Error, naming the file, if they do not fit.
void load_checkpoint(Experiment& experiment, const CheckpointFile& checkpoint);

/// A run's network at one of its checkpoints. Does not need the checkpoint that [init] named: the weights
/// come from the run's own.
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
  /// The inputs "train", "test" or "grid" (every input of the task). Throws UsageError if there is no grid.
  const Batch& inputs(const std::string& which) const;

 private:
  RunDirectory run_;
  CheckpointFile checkpoint_;
  std::unique_ptr<Experiment> experiment_;
};

}  // namespace orrery::engine
