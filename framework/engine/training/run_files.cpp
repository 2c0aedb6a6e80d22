#include "engine/training/run_files.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {

using json = nlohmann::ordered_json;

namespace {

std::tm utc_now() {
  return fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()));
}

json read_run_object(const RunDirectory& run) {
  const json object = json::parse(run.read_run_json(), nullptr, false);
  if (!object.is_object() || !object.contains("config"))
    throw Error(fmt::format("{}: run.json has no \"config\"", run.root().string()),
                "it is not a run that Orrery wrote, or it was changed");
  return object;
}

}  // namespace

Settings read_settings(const RunDirectory& run, const Registry& registry,
                       const std::vector<std::string>& overrides) {
  const std::string origin = (run.root() / "run.json").string();
  return resolve(Document::from_json(read_run_object(run)["config"].dump(), origin, overrides),
                 parameters_from(registry));
}

RunRecord::RunRecord(RunDirectory& run, const Experiment& experiment, int64_t step) : run_(run) {
  json object = json::parse(experiment.describe());
  object["sessions"] = step > 0 ? read_run_object(run).value("sessions", json::array()) : json::array();
  const char* core = std::getenv("OPENBLAS_CORETYPE");
  object["sessions"].push_back({{"started", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc_now())},
                                {"from", step},
                                {"device", experiment.settings().train.device},
                                {"threads", experiment.settings().train.threads},
                                {"blas_core", core ? json(core) : json(nullptr)},
                                {"ended", "running"}});
  text_ = object.dump(2) + "\n";
  run_.write_run_json(text_);
}

void RunRecord::end(int64_t step, const std::string& ended, double seconds) {
  json object = json::parse(text_);
  object["sessions"].back().update({{"to", step}, {"ended", ended}, {"seconds", seconds}});
  text_ = object.dump(2) + "\n";
  run_.write_run_json(text_);
}

void write_checkpoint(RunDirectory& run, const Model& model, const Trainer& trainer) {
  const int64_t step = trainer.steps_done();
  // The state first: a checkpoint whose state is missing could not be resumed from.
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

std::filesystem::path set_aside_path(const RunDirectory& run, int64_t step) {
  return run.root() / "set_aside" / std::filesystem::path(RunDirectory::checkpoint_name(step)).filename();
}

std::filesystem::path new_run_path(const std::string& name) {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const std::string base = fmt::format("runs/{}-{:%Y%m%d-%H%M%S}", name, fmt::localtime(now));
  std::filesystem::path path = base;
  for (int again = 2; std::filesystem::exists(path); ++again) path = fmt::format("{}-{}", base, again);
  return path;
}

}  // namespace orrery::engine
