#include "engine/compare/missing_probes.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/probing/probe_runner.h"

namespace orrery::engine {
namespace {

// The probe with the parameters of the run's config, or with its defaults.
ProbeChoice choice_for(const ComparedRun& run, const Plugin& plugin, const Registry& registry) {
  for (const ProbeChoice& choice : run.experiment().settings().probes)
    if (choice.plugin == plugin.name) return choice;
  return parse_probe(plugin.name, parameters_from(registry));
}

// What the probe needs of the run; nothing if the run cannot meet it.
std::optional<Needs> could_have(const ComparedRun& run, const ProbeChoice& choice) {
  try {
    const Needs needs = run.experiment().check_probe(choice);
    if (choice.every == 0 || run.step() % choice.every == 0) return needs;
  } catch (const Error&) {
  }
  return std::nullopt;
}

bool has_all(const ComparedRun& run, const Needs& needs, const std::string& identity) {
  return run.signature().questions.contains(identity) && (!needs.null || run.has_null(identity));
}

struct Due {
  size_t run;
  ProbeChoice choice;
};

// The probes that apply to at least two runs and that some of them lack.
std::vector<Due> missing_results(const ComparedRuns& runs, const Registry& registry) {
  std::vector<Due> missing;
  for (const auto& plugin : registry.plugins()) {
    if (plugin->kind != PluginKind::probe) continue;
    std::vector<Due> due;
    int able = 0;
    for (size_t i = 0; i < runs.size(); ++i) {
      try {
        const ProbeChoice choice = choice_for(*runs[i], *plugin, registry);
        const auto needs = could_have(*runs[i], choice);
        if (!needs) continue;
        ++able;
        if (!has_all(*runs[i], *needs, runs[i]->identity_of_choice(choice))) due.push_back({i, choice});
      } catch (const Error&) {  // its defaults do not work here
      }
    }
    if (able > 1) missing.insert(missing.end(), due.begin(), due.end());
  }
  return missing;
}

// Measures one probe and stores its results in the run.
Probed measure(const Registry& registry, const ComparedRun& compared, const ProbeChoice& choice,
               Reporter& reporter) {
  RunDirectory run = RunDirectory::open(compared.path(), RunDirectory::Access::write);
  Experiment experiment(registry, read_settings(run, registry), torch::kCPU);
  experiment.add_probes({choice});
  return ProbeRunner(experiment, run, reporter).run({compared.checkpoint()});
}

// Returns what could not be measured after all: a probe may refuse a run for reasons its needs do not
// declare. Nothing if interrupted.
std::optional<std::vector<Due>> measure_missing(const Registry& registry, ComparedRuns& runs,
                                                Reporter& reporter) {
  std::vector<Due> refused;
  for (const Due& due : missing_results(runs, registry)) {
    const ComparedRun& run = *runs[due.run];
    reporter.note(fmt::format("{}, step {}: {}", run.path(), run.step(), due.choice.plugin));
    try {
      const Probed probed = measure(registry, run, due.choice, reporter);
      if (probed == Probed::interrupted) return std::nullopt;
      if (probed == Probed::with_failures) refused.push_back(due);
    } catch (const Error& error) {
      reporter.warning(error.what(), error.hint());
      refused.push_back(due);
    }
  }
  for (const auto& run : runs) run->read_results();
  return refused;
}

std::vector<MissingProbe> by_plugin(const std::vector<Due>& missing, const std::vector<Due>& refused) {
  std::vector<MissingProbe> all;
  for (const Due& due : missing) {
    if (std::any_of(refused.begin(), refused.end(), [&](const Due& other) {
          return other.run == due.run && other.choice.plugin == due.choice.plugin;
        }))
      continue;
    if (all.empty() || all.back().plugin != due.choice.plugin) all.push_back({due.choice.plugin, {}});
    all.back().runs.push_back(due.run);
  }
  return all;
}

}  // namespace

std::optional<std::vector<MissingProbe>> missing_probes(const Registry& registry, ComparedRuns& runs,
                                                        bool measure_them, Reporter& reporter) {
  std::vector<Due> refused;
  if (measure_them) {
    auto measured = measure_missing(registry, runs, reporter);
    if (!measured) return std::nullopt;
    refused = std::move(*measured);
  }
  return by_plugin(missing_results(runs, registry), refused);
}

}  // namespace orrery::engine
