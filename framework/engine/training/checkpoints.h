// Writes checkpoints during training and resumes from them.
#pragma once

#include "engine/run/run_directory.h"
#include "engine/train/trainer.h"

namespace orrery::engine {

enum class States { newest, all };

/// Writes the weights of the trainer's step, and the state that resuming needs beside them. With
/// States::newest those of other checkpoints go.
void write_checkpoint(RunDirectory& run, const Model& model, const Trainer& trainer, States kept);
/// Loads the newest checkpoint that has a state. Changes nothing in the run. Throws orrery::Error if there is
/// none, or if it, or the metrics up to it, are damaged.
void load_resumable(const RunDirectory& run, Model& model, Trainer& trainer);
/// Throws orrery::Error for a run that has trained, but whose checkpoints are gone: beginning anew would
/// overwrite what it measured.
void refuse_lost_checkpoints(const RunDirectory& run);

}  // namespace orrery::engine
