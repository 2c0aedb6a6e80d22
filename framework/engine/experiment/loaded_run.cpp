#include "engine/experiment/loaded_run.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <CLI/CLI.hpp>

#include "engine/train/trainer.h"
#include "engine/training/run_files.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {

CheckpointFile choose_checkpoint(const RunDirectory& run, const std::string& option,
                                 const std::string& which) {
  const std::vector<CheckpointFile> all = run.checkpoints();
  if (all.empty())
    throw UsageError(fmt::format("{}: the run has no checkpoints", run.root().string()), "train it first");
  if (which == "last") return all.back();
  int64_t step = -1;
  if (!CLI::detail::lexical_cast(which, step))
    throw UsageError(fmt::format("{}: expected last or a step such as 1000; got \"{}\"", option, which));
  for (const CheckpointFile& checkpoint : all)
    if (checkpoint.step == step) return checkpoint;
  throw UsageError(
      fmt::format("{}: there is no checkpoint of step {} in {}", option, step, run.root().string()),
      fmt::format("there are {}, from step {} to {}", all.size(), all.front().step, all.back().step));
}

LoadedRun::LoadedRun(const Registry& registry, const std::string& path, const std::string& option,
                     const std::string& which)
    : run_(RunDirectory::open(path, RunDirectory::Access::read)) {
  const CheckpointFile checkpoint = choose_checkpoint(run_, option, which);
  Settings settings = read_settings(run_, registry, {});
  settings.init.from.clear();  // the weights come from the checkpoint
  use_threads(settings.train.threads);
  experiment_ = std::make_unique<Experiment>(registry, std::move(settings), torch::kCPU);
  load_weights(experiment_->model(), read_tensors(checkpoint.path).tensors);
  step_ = checkpoint.step;
}

const Batch& LoadedRun::inputs(const std::string& which) const {
  const Split& split = experiment_->split();
  if (which == "train") return split.train;
  if (which == "test") return split.test;
  if (split.grid) return *split.grid;
  throw UsageError("--inputs grid: this task is too large to list every possible input",
                   "choose train or test");
}

}  // namespace orrery::engine
