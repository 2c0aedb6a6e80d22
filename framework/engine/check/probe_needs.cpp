// Checks that needs() declares all that a probe reads, so that a run that accepts it can serve it.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>
#include <map>

#include "engine/check/bitwise.h"
#include "engine/check/probe_checks.h"

namespace orrery::engine::checks {
namespace {

int64_t count(const std::vector<FixtureTrial>& trials, FixtureTrial::Outcome outcome) {
  return std::count_if(trials.begin(), trials.end(),
                       [&](const FixtureTrial& trial) { return trial.outcome == outcome; });
}

const FixtureTrial* first(const std::vector<FixtureTrial>& trials, FixtureTrial::Outcome outcome) {
  const auto found = std::find_if(trials.begin(), trials.end(),
                                  [&](const FixtureTrial& trial) { return trial.outcome == outcome; });
  return found == trials.end() ? nullptr : &*found;
}

bool declared(const std::vector<std::string>& globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return matches(glob, name); });
}

// A fixture reduced to what the probe declares.
struct Rest {
  std::string without;  // ", without ..."
  std::vector<std::string> hidden_weights = {};
  Structure structure = {};
  Split split = {};
};

// The error of measuring random weights; nothing if the probe measures, or refuses with a reason.
std::optional<Error> failure(ProbeUnderCheck& under_check, const Fixture& fixture, const Rest& rest) {
  const auto probe = under_check.make();
  const ProbeInRun in_run = under_check.in_run(*probe);
  const auto model = fixture.fresh();
  std::erase_if(model->weights(), [&](const NamedWeight& weight) {
    return std::find(rest.hidden_weights.begin(), rest.hidden_weights.end(), weight.name) !=
           rest.hidden_weights.end();
  });
  const Split split = copy(rest.split);
  const ProbeHost host = fixture.host_of(rest.structure, split, *model);
  under_check.note(fixture.name() + rest.without);
  try {
    record_of(host.measure(0, {&in_run}, Reference::this_checkpoint)[0], *probe);
  } catch (const UsageError&) {
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

// The part of the task's structure that the probe asks for.
Structure structure_asked_for(const Needs& needs, const Structure& all) {
  const auto asked = [&](Capability capability) {
    const auto is_in = [&](const auto& list) {
      return std::find(list.begin(), list.end(), capability) != list.end();
    };
    return is_in(needs.structure) || is_in(needs.structure_any);
  };
  Structure rest = all;
  if (!asked(Capability::cyclic)) rest.cyclic.reset();
  if (!asked(Capability::group)) rest.group.reset();
  if (!asked(Capability::relevant_positions)) rest.relevant_positions.reset();
  if (!asked(Capability::repeats)) rest.repeats.reset();
  return rest;
}

Split split_asked_for(const Needs& needs, const Split& all) {
  if (needs.inputs == Inputs::grid) return all;
  return {all.train, all.test, {}, {}, {}};
}

Batch auxiliary_asked_for(const Needs& needs, Batch batch) {
  std::erase_if(batch.auxiliary, [&](const auto& label) {
    return std::find(needs.auxiliary.begin(), needs.auxiliary.end(), label.first) == needs.auxiliary.end();
  });
  return batch;
}

// Without the auxiliary labels that the probe does not ask for.
Split auxiliary_asked_for(const Needs& needs, const Split& all) {
  Split rest = all;
  rest.train = auxiliary_asked_for(needs, all.train);
  rest.test = auxiliary_asked_for(needs, all.test);
  if (all.grid) rest.grid = auxiliary_asked_for(needs, *all.grid);
  return rest;
}

// By module, "blocks.0.attn": a model lacks a module as a whole or not at all.
std::map<std::string, std::vector<std::string>> undeclared_weights(const Needs& needs,
                                                                   const Fixture& fixture) {
  std::map<std::string, std::vector<std::string>> modules;
  const auto model = fixture.fresh();
  for (const NamedWeight& weight : model->weights())
    if (!declared(needs.weights, weight.name))
      modules[weight.name.substr(0, weight.name.find_last_of('.'))].push_back(weight.name);
  // But a model without any weight does not exist.
  std::erase_if(modules, [&](const auto& module) { return module.second.size() == model->weights().size(); });
  return modules;
}

Result undeclared(const Fixture& fixture, const Rest& rest, const Error& error, const std::string& advice) {
  return failed(fmt::format("{}{}: {}", fixture.name(), rest.without, error.what()), advice);
}

// Ok if the probe measures `fixture` with everything undeclared taken away.
Result enough(ProbeUnderCheck& probe, const Needs& needs, const Fixture& fixture) {
  Rest rest{", with only what it declares", {}, fixture.structure(), fixture.split()};
  if (const auto error = failure(probe, fixture, rest))
    return undeclared(fixture, rest, *error, "declare in needs().activations what it reads from the cache");
  rest = {", without a grid", {}, fixture.structure(), split_asked_for(needs, fixture.split())};
  if (const auto error = failure(probe, fixture, rest))
    return undeclared(fixture, rest, *error,
                      "set needs().inputs = Inputs::grid, or use split.grid only if there is one");
  rest = {", without structure that it does not ask for",
          {},
          structure_asked_for(needs, fixture.structure()),
          fixture.split()};
  if (const auto error = failure(probe, fixture, rest))
    return undeclared(fixture, rest, *error,
                      "declare it in needs().structure, or use it only if it is present");
  rest = {", without auxiliary labels that it does not ask for",
          {},
          fixture.structure(),
          auxiliary_asked_for(needs, fixture.split())};
  if (const auto error = failure(probe, fixture, rest))
    return undeclared(fixture, rest, *error, "name them in needs().auxiliary");
  for (const auto& [module, names] : undeclared_weights(needs, fixture)) {
    const std::string list = fmt::format("{}", fmt::join(names, ", "));
    rest = {", without " + list, names, fixture.structure(), fixture.split()};
    if (const auto error = failure(probe, fixture, rest))
      return undeclared(
          fixture, rest, *error,
          "declare those it reads in needs().weights, by glob, or read them only if the model has them");
  }
  return ok();
}

}  // namespace

Result measures(ProbeUnderCheck& probe) {
  const std::vector<FixtureTrial>& trials = probe.trials();
  if (count(trials, FixtureTrial::Outcome::measured) == 0) {
    if (const FixtureTrial* trial = first(trials, FixtureTrial::Outcome::failed))
      return failed(fmt::format("{}: {}", trial->fixture->name(), trial->message), trial->hint);
    if (const FixtureTrial* trial = first(trials, FixtureTrial::Outcome::refused))
      return failed(fmt::format("it refuses every task and model it was tried on; {}: {}",
                                trial->fixture->name(), trial->message),
                    "say on what to check it: --config CONFIG.toml");
    return failed("no task and model here meet its needs", "say on what to check it: --config CONFIG.toml");
  }
  return ok("on " + probe.fixtures_text());
}

// A probe must declare whatever it cannot do without: in a run that accepts it, nothing may be missing.
Result needs_declared(ProbeUnderCheck& probe) {
  if (const FixtureTrial* trial = first(probe.trials(), FixtureTrial::Outcome::failed))
    return failed(
        fmt::format("a run accepts it, but it fails there: {}: {}", trial->fixture->name(), trial->message),
        "declare in needs() what it reads, or throw orrery::UsageError with the reason if it cannot measure");
  const Needs needs = probe.needs();
  const std::vector<const Fixture*> fixtures = probe.fixtures();
  for (const Fixture* fixture : fixtures)
    if (const Result result = enough(probe, needs, *fixture); result.verdict == Verdict::failed)
      return result;
  return ok();
}

}  // namespace orrery::engine::checks
