// Checkpoints as a training writes them and goes on from them.
#pragma once

#include "engine/run/run_directory.h"
#include "engine/train/trainer.h"

namespace orrery::engine {

/// Writes the weights, and beside them what resuming needs, for the step the trainer has reached.
void write_checkpoint(RunDirectory& run, const Model& model, const Trainer& trainer);
/// Loads the newest checkpoint that can be resumed from, and drops everything after it. Throws orrery::Error
/// if there is none.
void resume_from(RunDirectory& run, Model& model, Trainer& trainer);

}  // namespace orrery::engine
