#include "engine/experiment/probe_host.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <optional>
#include <set>

#include "engine/experiment/pristine.h"
#include "engine/processes/crash.h"
#include "engine/train/hardware.h"
#include "loader/shown.h"
#include "sdk/kernels/positions.h"

namespace orrery::engine {
namespace {

constexpr int64_t piece_size = 4096;  // examples in one forward pass: bounds the memory of activations

[[noreturn]] void refuse(const ProbeInRun& probe, const std::string& reason, const std::string& hint) {
  throw UsageError(fmt::format("probe \"{}\" cannot be used in this run: {}", probe.label, reason), hint);
}

std::vector<std::string> names_of(const std::vector<Capability>& capabilities) {
  std::vector<std::string> names;
  for (const Capability capability : capabilities) names.push_back(to_string(capability));
  return names;
}

// An exception from a probe costs only its own record.
template <class Action>
Outcome ask(const ProbeInRun& probe, const char* call, const ProbeListener& listener, Action&& action) {
  Outcome outcome{&probe, {}, {}, {}};
  listener.begins(probe, call);
  try {
    const TimeLimit limit(probe.timeout_s);
    const CrashPlace place(probe.place);
    outcome.record = action();
  } catch (const Error& error) {
    outcome.error = with_place(probe, error.what());
    outcome.hint = error.hint();
  }
  listener.ended(outcome);
  return outcome;
}

Shown shown_of(const TrainingState& training) {
  Shown shown;
  shown.add("the training's batch", training.batch);
  for (const auto& [name, gradient] : training.gradients)
    shown.add(fmt::format("the gradient of \"{}\"", name), gradient);
  for (const auto& [name, moment] : training.moments)
    shown.add(fmt::format("the training's moment \"{}\"", name), moment);
  return shown;
}

// The first text of those that is not empty.
std::string first_of(const std::vector<std::string>& texts) {
  const auto found = std::find_if(texts.begin(), texts.end(), [](const auto& text) { return !text.empty(); });
  return found == texts.end() ? "" : *found;
}

}  // namespace

std::string with_place(const ProbeInRun& probe, const std::string& what) {
  return probe.place.empty() ? what : fmt::format("{}: {}", probe.place, what);
}

std::string call_text(const ProbeInRun& probe, const std::string& call, const std::string& place) {
  const std::string who = probe.plugin.empty() ? fmt::format("\"{}\"", probe.label)
                                               : fmt::format("{} {}", probe.plugin, probe.version);
  return fmt::format("probe {}, {}, {}: ", who, call, place);
}

ProbeHost::ProbeHost(const TaskSpec& spec, const Structure& structure, const Split& split, Model& model,
                     Writes writes, ProbeServices services)
    : spec_(spec),
      structure_(structure),
      split_(split),
      model_(model),
      writes_(writes),
      services_(std::move(services)) {}

void ProbeHost::check(const ProbeInRun& probe) const {
  for (const Capability capability : probe.needs.structure)
    if (!offers(structure_, capability))
      refuse(probe,
             fmt::format("it needs a task with {} structure, and this task declares none",
                         to_string(capability)),
             "leave the probe out, or choose a task (or an operation of it) that has this structure");
  const std::vector<Capability>& any = probe.needs.structure_any;
  if (!any.empty() &&
      std::none_of(any.begin(), any.end(), [&](Capability c) { return offers(structure_, c); }))
    refuse(probe,
           fmt::format("it needs a task with {} structure, and this task declares none",
                       fmt::join(names_of(any), " or ")),
           "leave the probe out, or choose a task (or an operation of it) that has this structure");
  for (const std::string& name : probe.needs.auxiliary)
    if (std::find(spec_.auxiliary.begin(), spec_.auxiliary.end(), name) == spec_.auxiliary.end())
      refuse(probe,
             fmt::format("it needs the auxiliary labels \"{}\", and this task has none of that name{}", name,
                         did_you_mean(name, spec_.auxiliary)),
             spec_.auxiliary.empty() ? "the task has no auxiliary labels: leave the probe out"
                                     : fmt::format("the task has: {}", fmt::join(spec_.auxiliary, ", ")));
  if (probe.needs.inputs == Inputs::grid && !split_.grid)
    refuse(probe, "it looks at every possible input, and this task is too large to list them",
           "leave the probe out");
  for (const std::string& glob : probe.needs.activations) try {
      find_hook_points(model_, glob);
    } catch (const Error& error) {
      refuse(probe, error.what(), error.hint());
    }
  const std::vector<std::string> names = model_.weight_names();
  for (const std::string& glob : probe.needs.weights)
    if (std::none_of(names.begin(), names.end(),
                     [&](const std::string& name) { return matches(glob, name); }))
      refuse(probe, fmt::format("the model has no weight \"{}\"{}", glob, did_you_mean(glob, names)),
             fmt::format("the model has: {}", fmt::join(names, ", ")));
  if (!probe.needs.refusal) return;
  const std::string refusal = probe.needs.refusal(model_, spec_);
  if (!refusal.empty()) refuse(probe, refusal, "leave the probe out, or choose another model");
}

const Batch& ProbeHost::inputs(Inputs which) const {
  switch (which) {
    case Inputs::train:
      return split_.train;
    case Inputs::test:
      return split_.test;
    case Inputs::grid:
      return *split_.grid;
    case Inputs::none:
      break;
  }
  static const Batch nothing;
  return nothing;
}

std::vector<std::string> ProbeHost::hook_points(const std::vector<std::string>& globs) const {
  std::set<std::string> names;  // each once, even if several globs match it
  for (const std::string& glob : globs)
    for (const HookPoint* point : find_hook_points(model_, glob)) names.insert(point->name());
  return {names.begin(), names.end()};
}

// Depends on the probe's own needs only, so that its numbers do not depend on other probes.
ProbeHost::Look ProbeHost::look_of(const ProbeInRun& probe) const {
  const Needs& needs = probe.needs;
  const bool fast =
      needs.positions == Positions::read_out && model_.fast_read_out_keeps(hook_points(needs.activations));
  return {needs.inputs, fast ? Pass::fast : Pass::plain, needs.positions};
}

ProbeHost::Seen ProbeHost::piece(const torch::Tensor& tokens, const Look& which,
                                 const std::vector<std::string>& names) const {
  if (which.positions == Positions::read_out) {
    const ReadOutRequest request{tokens, spec_.read_out, {}, /*observed=*/true, names};
    const auto pass =
        which.pass == Pass::plain ? plain_read_out(model_, request) : model_.fast_read_out(request);
    Seen seen{pass->logits(), {}};
    for (const auto& [name, activation] : pass->activations()) seen.cache.put(name, activation);
    return seen;
  }
  const CachedForward all = run_with_cache(model_, tokens, names);
  Seen seen{all.logits.index_select(1, kernels::positions_on(tokens.device(), spec_.read_out)), {}};
  for (const std::string& name : all.cache.names()) {
    const bool whole_input = model_.find_hook_point(name)->position_dim() < 0;
    seen.cache.put(name, whole_input ? all.cache[name].unsqueeze(1) : all.cache[name]);
  }
  return seen;
}

std::map<ProbeHost::Look, std::vector<std::string>> ProbeHost::wanted(
    const std::vector<const ProbeInRun*>& probes) const {
  std::map<Look, std::vector<std::string>> globs;
  for (const ProbeInRun* probe : probes) {
    auto& wanted = globs[look_of(*probe)];
    wanted.insert(wanted.end(), probe->needs.activations.begin(), probe->needs.activations.end());
  }
  return globs;
}

// In pieces, to bound the memory of activations.
ProbeHost::Seen ProbeHost::look(const Look& which, const std::vector<std::string>& globs) const {
  if (which.inputs == Inputs::none) return {};
  keep_freed_memory();
  const Batch& batch = inputs(which.inputs);
  const std::vector<std::string> names = hook_points(globs);
  std::vector<torch::Tensor> logits;
  std::map<std::string, std::vector<torch::Tensor>> kept;
  for (int64_t start = 0; start < batch.size(); start += piece_size) {
    const Seen part =
        piece(batch.tokens.narrow(0, start, std::min(piece_size, batch.size() - start)).to(model_.device()),
              which, names);
    logits.push_back(part.logits.to(torch::kCPU));
    for (const std::string& name : part.cache.names()) kept[name].push_back(part.cache[name].to(torch::kCPU));
  }
  Seen seen{torch::cat(logits), {}};
  for (const auto& [name, pieces] : kept) seen.cache.put(name, torch::cat(pieces));
  return seen;
}

template <class Action>
std::vector<Outcome> ProbeHost::each(int64_t step, const std::vector<const ProbeInRun*>& probes,
                                     const char* call, const ProbeListener& listener, Action&& action) const {
  torch::NoGradGuard no_grad;
  const std::map<Look, std::vector<std::string>> globs = wanted(probes);
  std::map<Look, Seen> seen;
  for (const auto& [which, names] : globs) seen[which] = look(which, names);
  std::optional<Pristine> pristine;
  if (writes_ == Writes::refused) pristine.emplace(model_, split_);
  std::optional<TrainingState> training;  // made for the first that asks, and again after a write into it
  std::vector<Outcome> outcomes;
  for (const ProbeInRun* probe : probes) {
    const Look which = look_of(*probe);
    Observation observation{step,
                            spec_,
                            structure_,
                            split_,
                            inputs(probe->needs.inputs),
                            model_,
                            seen[which].logits,
                            seen[which].cache,
                            &services_.on_demand};
    const WriteCounts counts(observation.logits, observation.cache);
    Shown of_training;
    bool stale = false;  // the next probe is shown a new forward pass
    const auto restored = [&] {
      if (!pristine) return std::string();
      const std::string changed = pristine->restore(), written = counts.written();
      const std::string trained = of_training.written();
      stale = !written.empty();
      if (!trained.empty()) training.reset();
      return first_of({changed, written, trained});
    };
    outcomes.push_back(ask(*probe, call, listener, [&] {
      Record record;
      try {
        if (probe->needs.training) {
          if (!services_.training) throw Error("it needs the state of the training, and there is none here");
          if (!training) training = services_.training();
          observation.training = &*training;
          of_training = shown_of(*training);
        }
        record = action(*probe, observation);
      } catch (...) {
        restored();
        throw;
      }
      if (const std::string changed = restored(); !changed.empty())
        throw Error(
            fmt::format("{}it changed {}", call_text(*probe, call, fmt::format("step {}", step)), changed),
            "the host has restored it, and dropped this record; work on a copy: x.clone()");
      return record;
    }));
    if (stale) seen[which] = look(which, globs.at(which));
  }
  return outcomes;
}

std::vector<Outcome> ProbeHost::measure(int64_t step, const std::vector<const ProbeInRun*>& probes,
                                        Reference reference, const ProbeListener& listener) const {
  return each(step, probes, "measure", listener,
              [reference](const ProbeInRun& probe, const Observation& observation) {
                if (probe.needs.reference && (reference == Reference::this_checkpoint || !probe.waits()))
                  probe.probe->fit(observation);
                Recorder recorder;
                probe.probe->measure(observation, recorder);
                return recorder.record();
              });
}

std::vector<Outcome> ProbeHost::fit(int64_t step, const std::vector<const ProbeInRun*>& probes,
                                    const ProbeListener& listener) const {
  std::vector<Outcome> outcomes =
      each(step, probes, "fit", listener, [](const ProbeInRun& probe, const Observation& observation) {
        probe.probe->fit(observation);
        return Record{};
      });
  for (Outcome& outcome : outcomes) outcome.unusable = !outcome.ok();
  return outcomes;
}

std::vector<Outcome> conclude(const std::vector<const ProbeInRun*>& probes, const HistoryOf& history_of,
                              const ProbeListener& listener) {
  torch::NoGradGuard no_grad;
  std::vector<Outcome> outcomes;
  for (const ProbeInRun* probe : probes)
    outcomes.push_back(ask(*probe, "conclude", listener, [&] {
      Recorder recorder;
      probe->probe->conclude(history_of(*probe), recorder);
      return recorder.record();
    }));
  return outcomes;
}

}  // namespace orrery::engine
