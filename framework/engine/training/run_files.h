// What the program writes into a run directory and reads back.
#pragma once

#include <string>
#include <vector>

#include "engine/config/settings.h"
#include "engine/experiment/experiment.h"
#include "engine/run/run_directory.h"
#include "engine/train/trainer.h"

namespace orrery::engine {

/// The settings in a run's run.json, with `overrides` applied.
Settings read_settings(const RunDirectory& run, const Registry& registry,
                       const std::vector<std::string>& overrides);

/// Writes run.json: what the experiment is, and its sessions: {"from": 0, "to": 400, "ended": "stopped",
/// "seconds": 3.1, "started": "2026-01-31T12:00:00Z", "device": "cpu", "threads": 1, "blas_core":
/// "SkylakeX"}.
class RunRecord {
 public:
  /// Begins a session at `step`; earlier ones in the run's run.json are kept.
  RunRecord(RunDirectory& run, const Experiment& experiment, int64_t step);
  /// Ends it. `ended` is "finished", "condition", "stopped", "diverged" or "imported".
  void end(int64_t step, const std::string& ended, double seconds);

 private:
  RunDirectory& run_;
  std::string text_;
};

/// Writes the weights, and beside them what resuming needs, for the step the trainer has reached.
void write_checkpoint(RunDirectory& run, const Model& model, const Trainer& trainer);
/// Loads the newest checkpoint that can be resumed from, and drops everything after it. Throws orrery::Error
/// if there is none.
void resume_from(RunDirectory& run, Model& model, Trainer& trainer);

/// Where an import keeps what belongs to the network of this step but has no place in the model.
std::filesystem::path set_aside_path(const RunDirectory& run, int64_t step);

/// "runs/NAME-20260131-120000"; with a number behind where that exists.
std::filesystem::path new_run_path(const std::string& name);

}  // namespace orrery::engine
