#include "engine/probing/checkpoint_pass.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "cli/text/terminal.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {
namespace {

void load(Experiment& experiment, const CheckpointFile& checkpoint) {
  const NamedTensors weights = read_tensors(checkpoint.path).tensors;
  try {
    load_weights(experiment.model(), weights);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", checkpoint.path.string(), error.what()), error.hint());
  }
}

}  // namespace

std::optional<CheckpointFile> reference_of(const ProbeInRun& probe, const RunDirectory& run) {
  if (!probe.waits()) return std::nullopt;
  const std::vector<CheckpointFile> all = run.checkpoints();
  if (all.empty())
    throw UsageError(fmt::format("{}: the run has no checkpoints", run.root().string()), "train it first");
  if (probe.reference == "last") return all.back();
  const int64_t step = std::stoll(probe.reference.substr(std::string("step:").size()));
  for (const CheckpointFile& checkpoint : all)
    if (checkpoint.step == step) return checkpoint;
  throw UsageError(
      fmt::format("probe \"{}\": the run has no checkpoint of its reference, step {}", probe.label, step),
      fmt::format("its checkpoints go from step {} to {}", all.front().step, all.back().step));
}

void report_failures(const std::vector<Outcome>& outcomes) {
  for (const Outcome& outcome : outcomes)
    if (!outcome.ok()) complain("warning", outcome.error, outcome.hint);
}

CheckpointPass::CheckpointPass(Experiment& experiment, const RunDirectory& run, Watcher watcher)
    : experiment_(experiment), run_(run), watcher_(std::move(watcher)) {}

// Returns the outcomes of the probes that have become, or were, unusable, and takes these out of `probes`.
std::vector<Outcome> CheckpointPass::fit(std::vector<const ProbeInRun*>& probes) {
  std::map<int64_t, std::vector<const ProbeInRun*>> by_reference;
  for (const ProbeInRun* probe : probes)
    if (probe->waits() && !fitted_.contains(probe) && !unusable_.contains(probe))
      by_reference[reference_of(*probe, run_)->step].push_back(probe);
  for (const auto& [step, waiting] : by_reference) {
    std::vector<Outcome> outcomes;
    try {
      load(experiment_, {step, run_.checkpoint_path(step)});
      // Only begins: that a fit went well is no result.
      outcomes = experiment_.observer().fit(step, waiting, {.begins = watcher_.begins});
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
    watcher_.ended(found->second);
    failed.push_back(found->second);
    return true;
  });
  return failed;
}

std::vector<Outcome> CheckpointPass::measure(const CheckpointFile& checkpoint,
                                             std::vector<const ProbeInRun*> probes) {
  std::vector<Outcome> outcomes = fit(probes);
  if (probes.empty()) return outcomes;
  load(experiment_, checkpoint);
  for (Outcome& outcome : experiment_.observer().measure(checkpoint.step, probes, false, watcher_))
    outcomes.push_back(std::move(outcome));
  return outcomes;
}

std::vector<Outcome> CheckpointPass::measure_null(std::vector<const ProbeInRun*> probes) {
  std::vector<Outcome> outcomes = fit(probes);
  if (probes.empty()) return outcomes;
  const std::unique_ptr<Model> model = experiment_.null_model();
  model->to(experiment_.model().device());
  const Observer observer = experiment_.observer_of(*model);
  for (Outcome& outcome : observer.measure(0, probes, false, watcher_))
    outcomes.push_back(std::move(outcome));
  return outcomes;
}

std::vector<Outcome> CheckpointPass::conclude(std::vector<const ProbeInRun*> probes,
                                              const std::vector<Curve>& curves) {
  std::vector<Outcome> outcomes = fit(probes);
  for (Outcome& outcome : orrery::conclude(probes, curves, watcher_)) outcomes.push_back(std::move(outcome));
  return outcomes;
}

}  // namespace orrery::engine
