#include "engine/training/checkpoints.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {

void write_checkpoint(RunDirectory& run, const Model& model, const Trainer& trainer) {
  const int64_t step = trainer.steps_done();
  // The state first: a checkpoint without a state could not be resumed from.
  write_tensors(run.state_path(step), trainer.state());
  write_tensors(run.checkpoint_path(step), weights_of(model), {{"step", std::to_string(step)}});
  run.drop_states_but(step);
}

void resume_from(RunDirectory& run, Model& model, Trainer& trainer) {
  const std::vector<int64_t> states = run.states();
  const std::vector<CheckpointFile> checkpoints = run.checkpoints();
  for (auto checkpoint = checkpoints.rbegin(); checkpoint != checkpoints.rend(); ++checkpoint) {
    if (std::find(states.begin(), states.end(), checkpoint->step) == states.end()) continue;
    load_weights(model, read_tensors(checkpoint->path).tensors);
    trainer.restore(read_tensors(run.state_path(checkpoint->step)).tensors);
    run.trim_after(checkpoint->step);
    return;
  }
  throw Error(fmt::format("{}: no checkpoint here can be resumed from", run.root().string()),
              "a resumable one has a .state.safetensors file beside it");
}

}  // namespace orrery::engine
