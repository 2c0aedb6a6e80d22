// Checks that a probe leaves everything as it found it.
#include <fmt/format.h>
#include <orrery/error.h>

#include <map>

#include "engine/check/bitwise.h"
#include "engine/check/heard_disturbances.h"
#include "engine/check/probe_checks.h"

namespace orrery::engine::checks {
namespace {

// Everything in an observation that a probe could write to.
struct Seen {
  std::vector<std::pair<std::string, torch::Tensor>> weights;
  std::map<std::string, torch::Tensor> activations;
  torch::Tensor logits;
  Batch inputs;
  Split split;
};

Seen snapshot(const Observation& observation) {
  Seen seen;
  for (const NamedWeight& weight : observation.model.weights())
    seen.weights.emplace_back(weight.name, weight.value.detach().clone());
  for (const std::string& name : observation.cache.names())
    seen.activations[name] = observation.cache[name].detach().clone();
  if (observation.logits.defined()) seen.logits = observation.logits.detach().clone();
  seen.inputs = copy(observation.inputs);
  seen.split = copy(observation.split);
  return seen;
}

std::string model_fault(const Seen& before, const Observation& now) {
  const std::vector<NamedWeight>& weights = now.model.weights();
  if (weights.size() != before.weights.size()) return "weights were added or taken away";
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto& [name, value] = before.weights[i];
    if (weights[i].name != name)
      return fmt::format("weight \"{}\" was renamed to \"{}\"", name, weights[i].name);
    if (!same(value, weights[i].value)) return fmt::format("weight \"{}\" was changed", name);
    if (!weights[i].value.requires_grad() || !weights[i].value.is_leaf())
      return fmt::format("weight \"{}\" no longer takes gradients", name);
    if (weights[i].value.grad().defined()) return fmt::format("weight \"{}\" was left with a gradient", name);
  }
  return "";
}

std::string shown_fault(const Seen& before, const Observation& now) {
  for (const auto& [name, value] : before.activations)
    if (!same(value, now.cache[name])) return fmt::format("the cached activation \"{}\" was changed", name);
  if (!same(before.logits, now.logits)) return "the logits were changed";
  if (const std::string found = difference("inputs", before.inputs, now.inputs); !found.empty())
    return fmt::format("{} was changed", found);
  const std::string found = difference(before.split, now.split);
  return found.empty() ? "" : fmt::format("{} was changed", found);
}

// A hook that was left behind, or a change that shows in no weight: the model computes something else.
std::string computes_fault(const Fixture& fixture, const KeptWeights& checkpoint, Model& model) {
  torch::NoGradGuard no_grad;
  const Batch& all = fixture.split().train;
  const torch::Tensor tokens = all.tokens.narrow(0, 0, std::min<int64_t>(all.size(), 8));
  return same(fixture.at(checkpoint)->forward(tokens), model.forward(tokens))
             ? ""
             : "it computes other logits afterwards, though no weight was changed: was a hook left on it?";
}

Traces traces_of(const ProbeUnderCheck& under_check, const Fixture& fixture) {
  const KeptWeights& checkpoint = fixture.checkpoints().back();
  under_check.note(fixture.name());
  const auto probe = under_check.make();
  const ProbeInRun in_run = under_check.in_run(*probe);
  const auto model = fixture.at(checkpoint);
  const Split split = copy(fixture.split());  // the probe may write to it
  Traces found;
  Seen seen;
  HeardDisturbances heard;
  const auto keep_first = [](std::string& text, const std::string& now) {
    if (text.empty()) text = now;
  };
  DecoyProbe before(in_run.needs, [&](const Observation& observation) {
    seen = snapshot(observation);
    seed_global_generator();
  });
  DecoyProbe after(in_run.needs, [&](const Observation& observation) {
    keep_first(found.torch, heard.first());
    keep_first(found.model, model_fault(seen, observation));
    keep_first(found.shown, shown_fault(seen, observation));
  });
  const ProbeInRun first = under_check.in_run(before), last = under_check.in_run(after);
  const ProbeHost host = fixture.host_of(split, *model);
  if (in_run.needs.reference) record_of(host.fit(checkpoint.step, {&first, &in_run, &last})[1], *probe);
  record_of(host.measure(checkpoint.step, {&first, &in_run, &last}, Reference::fitted)[1], *probe);
  if (found.model.empty()) found.model = computes_fault(fixture, checkpoint, *model);
  return found;
}

Result leaves(ProbeUnderCheck& probe, std::string Traces::*what, const std::string& advice) {
  for (const Fixture* fixture : probe.fixtures())
    if (const std::string fault = probe.traces(*fixture).*what; !fault.empty())
      return failed(fmt::format("{}: {}", fixture->name(), fault), advice);
  return ok();
}

}  // namespace

const Traces& ProbeUnderCheck::traces(const Fixture& fixture) {
  if (const auto found = traces_.find(&fixture); found != traces_.end()) return found->second;
  return traces_.emplace(&fixture, traces_of(*this, fixture)).first->second;
}

Result leaves_the_model(ProbeUnderCheck& probe) {
  return leaves(
      probe, &Traces::model,
      "work on a copy (observation.weight(...).clone()); intervene with run_with_hooks, which cleans up");
}

Result leaves_what_it_is_shown(ProbeUnderCheck& probe) {
  return leaves(
      probe, &Traces::shown,
      "other probes see the same tensors: use operations without a trailing underscore, or clone() first");
}

Result leaves_torch(ProbeUnderCheck& probe) {
  return leaves(
      probe, &Traces::torch,
      "draw from a generator of your own, make_generator(seed) (orrery/task.h), and use guards for the rest");
}

}  // namespace orrery::engine::checks
