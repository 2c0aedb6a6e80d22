// That a run that lets a probe in gives it all that it needs.
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

int64_t count(const std::vector<Trial>& trials, Trial::Outcome outcome) {
  return std::count_if(trials.begin(), trials.end(),
                       [&](const Trial& trial) { return trial.outcome == outcome; });
}

const Trial* first(const std::vector<Trial>& trials, Trial::Outcome outcome) {
  const auto found = std::find_if(trials.begin(), trials.end(),
                                  [&](const Trial& trial) { return trial.outcome == outcome; });
  return found == trials.end() ? nullptr : &*found;
}

bool declared(const std::vector<std::string>& globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return matches(glob, name); });
}

// What a probe is left with that does not declare the rest.
struct Rest {
  std::string without;  // ", without ..."
  std::vector<std::string> hidden_weights = {};
  Structure structure = {};
  Split split = {};
};

// How the measurement of random weights fails; nothing if it does not, or the probe refuses with a reason.
std::optional<Error> failure(ProbeUnderCheck& under_check, const Setting& setting, const Rest& rest) {
  const auto probe = under_check.make();
  const ProbeInRun in_run = under_check.in_run(*probe);
  const auto model = setting.fresh();
  std::erase_if(model->weights(), [&](const NamedWeight& weight) {
    return std::find(rest.hidden_weights.begin(), rest.hidden_weights.end(), weight.name) !=
           rest.hidden_weights.end();
  });
  const Split split = copy(rest.split);
  const ProbeHost host(setting.spec(), rest.structure, split, *model);
  under_check.note(setting.name() + rest.without);
  try {
    record_of(host.measure(0, {&in_run}, Reference::this_checkpoint)[0], *probe);
  } catch (const UsageError&) {
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

// The task's structure, less what the probe does not ask for.
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

// By module, "blocks.0.attn": a model may be without one as a whole.
std::map<std::string, std::vector<std::string>> undeclared_weights(const Needs& needs,
                                                                   const Setting& setting) {
  std::map<std::string, std::vector<std::string>> modules;
  const auto model = setting.fresh();
  for (const NamedWeight& weight : model->weights())
    if (!declared(needs.weights, weight.name))
      modules[weight.name.substr(0, weight.name.find_last_of('.'))].push_back(weight.name);
  // But not without any weight.
  std::erase_if(modules, [&](const auto& module) { return module.second.size() == model->weights().size(); });
  return modules;
}

Result undeclared(const Setting& setting, const Rest& rest, const Error& error, const std::string& advice) {
  return failed(fmt::format("{}{}: {}", setting.name(), rest.without, error.what()), advice);
}

// Ok where `setting` is enough with nothing in it but what is declared.
Result enough(ProbeUnderCheck& probe, const Needs& needs, const Setting& setting) {
  Rest rest{", with what it declares alone", {}, setting.structure(), setting.split()};
  if (const auto error = failure(probe, setting, rest))
    return undeclared(setting, rest, *error, "name in needs().activations what it reads from the cache");
  rest = {", without a grid", {}, setting.structure(), split_asked_for(needs, setting.split())};
  if (const auto error = failure(probe, setting, rest))
    return undeclared(setting, rest, *error,
                      "set needs().inputs = Inputs::grid, or look at split.grid only where it is there");
  rest = {", without structure that it does not ask for",
          {},
          structure_asked_for(needs, setting.structure()),
          setting.split()};
  if (const auto error = failure(probe, setting, rest))
    return undeclared(setting, rest, *error,
                      "name it in needs().structure, or use it only where it is there");
  for (const auto& [module, names] : undeclared_weights(needs, setting)) {
    const std::string list = fmt::format("{}", fmt::join(names, ", "));
    rest = {", without " + list, names, setting.structure(), setting.split()};
    if (const auto error = failure(probe, setting, rest))
      return undeclared(
          setting, rest, *error,
          "name in needs().weights, by glob, what it reads of these, or read it only where the model has it");
  }
  return ok();
}

}  // namespace

Result measures(ProbeUnderCheck& probe) {
  const std::vector<Trial>& trials = probe.trials();
  if (count(trials, Trial::Outcome::measured) == 0) {
    if (const Trial* trial = first(trials, Trial::Outcome::failed))
      return failed(fmt::format("{}: {}", trial->setting->name(), trial->message), trial->hint);
    if (const Trial* trial = first(trials, Trial::Outcome::refused))
      return failed(fmt::format("it refuses every task and model that it was tried on; {}: {}",
                                trial->setting->name(), trial->message),
                    "say on what to check it: --config CONFIG.toml");
    return failed("no task and model here give it what it needs",
                  "say on what to check it: --config CONFIG.toml");
  }
  return ok("on " + probe.settings_text());
}

// It needs what it cannot do without: where a run lets it in, nothing may be missing.
Result needs_declared(ProbeUnderCheck& probe) {
  if (const Trial* trial = first(probe.trials(), Trial::Outcome::failed))
    return failed(
        fmt::format("a run lets it in, but there it fails: {}: {}", trial->setting->name(), trial->message),
        "name in needs() what it reads, or throw orrery::UsageError with the reason where it cannot measure");
  const Needs needs = probe.needs();
  const std::vector<const Setting*> settings = probe.settings();
  for (const Setting* setting : settings)
    if (const Result result = enough(probe, needs, *setting); result.verdict == Verdict::failed)
      return result;
  return ok();
}

}  // namespace orrery::engine::checks
