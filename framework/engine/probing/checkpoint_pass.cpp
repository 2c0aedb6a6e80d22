#include "engine/probing/checkpoint_pass.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/experiment/open_run.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {

std::optional<CheckpointFile> reference_of(const ProbeInRun& probe, const RunDirectory& run) {
  if (!probe.waits()) return std::nullopt;
  const std::string& which = probe.reference;
  return choose_checkpoint(run, which.starts_with("step:") ? which.substr(5) : which,
                           fmt::format("probe \"{}\", its reference", probe.label));
}

CheckpointPass::CheckpointPass(Experiment& experiment, const RunDirectory& run, ProbeListener listener)
    : experiment_(experiment), run_(run), listener_(std::move(listener)) {}

// The state of its training, if that is still there.
void CheckpointPass::load(const CheckpointFile& checkpoint) {
  load_checkpoint(experiment_, checkpoint);
  experiment_.set_training([path = run_.state_path(checkpoint.step)] {
    if (!std::filesystem::exists(path))
      throw Error(fmt::format("{}: the state of the training at this checkpoint is gone", path.string()),
                  "keep it with checkpoints.keep_states = true, or ask the probe while the run trains");
    return read_tensors(path).tensors;
  });
}

// Fits the probes that need it. Removes unusable ones from `probes` and returns their outcomes.
std::vector<Outcome> CheckpointPass::fit(std::vector<const ProbeInRun*>& probes) {
  std::map<int64_t, std::vector<const ProbeInRun*>> by_reference;
  for (const ProbeInRun* probe : probes)
    if (probe->waits() && !fitted_.contains(probe) && !unusable_.contains(probe))
      by_reference[reference_of(*probe, run_)->step].push_back(probe);
  for (const auto& [step, waiting] : by_reference) {
    std::vector<Outcome> outcomes;
    try {
      load({step, run_.checkpoint_path(step)});
      // Forwards only `begins`: a successful fit is not a result.
      outcomes = experiment_.probe_host().fit(step, waiting, {.begins = listener_.begins});
    } catch (const Error& error) {
      for (const ProbeInRun* probe : waiting)
        outcomes.push_back({probe,
                            {},
                            fmt::format("probe \"{}\", its reference: {}", probe->label, error.what()),
                            error.hint(),
                            true});
    }
    for (const Outcome& outcome : outcomes) {
      if (outcome.ok())
        fitted_.insert(outcome.probe);
      else
        unusable_.emplace(outcome.probe, outcome);
    }
  }
  std::vector<Outcome> failed;
  std::erase_if(probes, [&](const ProbeInRun* probe) {
    const auto found = unusable_.find(probe);
    if (found == unusable_.end()) return false;
    listener_.ended(found->second);
    failed.push_back(found->second);
    return true;
  });
  return failed;
}

std::vector<Outcome> CheckpointPass::measure(const CheckpointFile& checkpoint,
                                             std::vector<const ProbeInRun*> probes) {
  std::vector<Outcome> outcomes = fit(probes);
  if (probes.empty()) return outcomes;
  load(checkpoint);
  for (Outcome& outcome :
       experiment_.probe_host().measure(checkpoint.step, probes, Reference::fitted, listener_))
    outcomes.push_back(std::move(outcome));
  return outcomes;
}

std::vector<Outcome> CheckpointPass::measure_null(std::vector<const ProbeInRun*> probes) {
  std::vector<Outcome> outcomes = fit(probes);
  if (probes.empty()) return outcomes;
  const std::unique_ptr<Model> model = experiment_.null_model();
  model->to(experiment_.model().device());
  const ProbeHost host = experiment_.probe_host_of(*model);
  for (Outcome& outcome : host.measure(0, probes, Reference::fitted, listener_))
    outcomes.push_back(std::move(outcome));
  return outcomes;
}

std::vector<Outcome> CheckpointPass::conclude(std::vector<const ProbeInRun*> probes,
                                              const HistoryOf& history_of) {
  std::vector<Outcome> outcomes = fit(probes);
  for (Outcome& outcome : engine::conclude(probes, history_of, listener_))
    outcomes.push_back(std::move(outcome));
  return outcomes;
}

}  // namespace orrery::engine
