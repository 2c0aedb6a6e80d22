#include "engine/training/checkpoints.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <optional>

#include "engine/run/log_claim.h"
#include "engine/run/run_identity.h"
#include "engine/run/run_json.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {
namespace {

[[noreturn]] void refuse_to_resume(const RunDirectory& run) {
  const std::string weights = run.checkpoints().back().path.string();
  if (read_run_json(run.root()).ended() == "imported")
    throw UsageError(
        fmt::format("{}: an imported network has no state of its training, so that cannot go on",
                    run.root().string()),
        fmt::format("start another training from its weights: orrery train CONFIG --set init.from=\"{}\"",
                    weights));
  throw Error(
      fmt::format("{}: no checkpoint here can be resumed from: none has its .state.safetensors beside it",
                  run.root().string()),
      fmt::format("copy that file again, or start another training from the weights: orrery train CONFIG "
                  "--set init.from=\"{}\"",
                  weights));
}

}  // namespace

void write_checkpoint(RunDirectory& run, const Model& model, const Trainer& trainer, States kept) {
  const int64_t step = trainer.steps_done();
  // What a checkpoint was made after has to be on disk before it: a power cut takes the newest first.
  run.sync_logs();
  // The state first: a checkpoint without a state could not be resumed from.
  auto about_state = as_metadata(run.metrics().content());
  auto about = identity_as_metadata(identity_of(run.root()));
  about_state.insert(about.begin(), about.end());
  about["step"] = std::to_string(step);
  write_tensors(run.state_path(step), trainer.state(), about_state);
  write_tensors(run.checkpoint_path(step), weights_of(model), about);
  if (kept == States::newest) run.drop_states_but(step);
}

void load_resumable(const RunDirectory& run, Model& model, Trainer& trainer) {
  const std::optional<int64_t> step = run.resumable_step();
  if (!step) refuse_to_resume(run);
  const std::filesystem::path state = run.state_path(*step);
  for (const auto& file : {run.checkpoint_path(*step), state}) refuse_file_of_other_run(file, run.root());
  const NamedTensors weights = read_tensors(run.checkpoint_path(*step)).tensors,
                     rest = read_tensors(state).tensors;
  run.check_metrics();
  load_weights(model, weights);
  trainer.restore(rest);
  if (trainer.steps_done() != *step)
    throw Error(fmt::format("{}: it is the state after {} steps", state.string(), trainer.steps_done()),
                "it was renamed, or belongs to another run");
}

void refuse_lost_checkpoints(const RunDirectory& run) {
  const std::vector<MetricsRow> rows = run.read_metrics();
  if (rows.empty() || rows.back().step == 0) return;
  throw Error(fmt::format("{}: it has metrics up to step {}, but no checkpoint to go on from",
                          run.root().string(), rows.back().step),
              "its curves and results stay as they are; train it anew into another folder with --out");
}

}  // namespace orrery::engine
