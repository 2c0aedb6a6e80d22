#include "engine/check/check_suite.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/check/parameters.h"
#include "engine/check/probe_checks.h"
#include "engine/check/task_checks.h"
#include "engine/check/training_checks.h"
#include "engine/config/document.h"
#include "engine/experiment/check_split.h"
#include "engine/experiment/experiment.h"

namespace orrery::engine {
namespace {

std::string owner(const Plugin& plugin) {
  return fmt::format("{} \"{}\"", to_string(plugin.kind), plugin.name);
}

// All parameters, with the defaults filled in.
Values parameters_of(const Plugin& plugin, const CheckOptions& options) {
  const Document document = Document::from_toml("", "--set", options.overrides);
  return bind_fields(document.root(), plugin.parameters, owner(plugin));
}

void use_task(const Plugin& plugin, const Values& values) {
  const auto task = make_task(plugin, values);
  const TaskSpec spec = task->spec();
  check_split(spec, task->split(make_generator(0)));
  task->structure();
}

// Makes an instance.
void make_instance(const Plugin& plugin, const Values& values) {
  switch (plugin.kind) {
    case PluginKind::task:
      make_task(plugin, values);
      return;
    case PluginKind::probe:
      make_probe(plugin, values);
      return;
    case PluginKind::loss:
      make_loss(plugin, values);
      return;
    case PluginKind::update:
      make_update(plugin, values);
      return;
    case PluginKind::model:
      make_model_maker(plugin, values);
      return;
  }
}

// Makes an instance and its first call.
void use_instance(const Plugin& plugin, const Values& values) {
  const TaskSpec any{.d_vocab = 6, .d_vocab_out = 5, .n_ctx = 3, .read_out = {2}};
  switch (plugin.kind) {
    case PluginKind::task:
      use_task(plugin, values);
      return;
    case PluginKind::probe:
      make_probe(plugin, values)->needs();
      return;
    case PluginKind::loss:
      make_loss(plugin, values)->refusal(any);
      return;
    case PluginKind::update:
      make_update(plugin, values)->stage();
      return;
    case PluginKind::model:
      make_model_maker(plugin, values)->make(any, make_generator(0));
      return;
  }
}

// Each value is tried alone, on top of `given`.
checks::DeclaredParameters declared_by(const Plugin& plugin, const Values& given, const checks::Note& note) {
  const auto with_given = [given, note](auto&& call) {
    return [given, note, call](const Values& values) {
      for (const auto& [name, value] : values) note(fmt::format("{} = {}", name, to_string(value)));
      Values all = given;
      for (const auto& [name, value] : values) all[name] = value;
      call(all);
    };
  };
  return {
      .summary = plugin.summary,
      .fields = plugin.parameters,
      .make = with_given([&plugin](const Values& values) { make_instance(plugin, values); }),
      .use = with_given([&plugin](const Values& values) { use_instance(plugin, values); }),
  };
}

checks::TaskSource source_of(const Plugin& plugin) {
  return {plugin.name, plugin.parameters,
          [&plugin](const Values& values) { return make_task(plugin, values); }};
}

// Only the task and model of the config.
checks::ProbeFixtures fixtures_of(const Settings& settings, const Registry& registry) {
  checks::ProbeFixtures fixtures;
  fixtures.tasks = {source_of(registry.find(PluginKind::task, settings.task.name))};
  fixtures.given = {settings.task.parameters};
  fixtures.models = {{fmt::format("the {} of the config", settings.model.name), settings.model.name,
                      settings.model.parameters}};
  return fixtures;
}

checks::ProbeFixtures fixtures_of(const CheckOptions& options, const Registry& registry) {
  checks::ProbeFixtures fixtures;
  if (!options.task.empty()) fixtures.tasks = {source_of(registry.find(PluginKind::task, options.task))};
  if (options.task.empty())
    for (const auto& plugin : registry.plugins())
      if (plugin->kind == PluginKind::task) fixtures.tasks.push_back(source_of(*plugin));
  fixtures.models = checks::small_models();
  return fixtures;
}

std::vector<checks::Check> checks_of_task(const Plugin& plugin, const Values& given,
                                          const checks::Note& note) {
  return checks::task_checks(std::make_shared<checks::TaskUnderCheck>(source_of(plugin), given, note));
}

// Parameters come from --set, then from the config if it has the probe.
Values parameters_in(const Settings& settings, const Plugin& plugin, const Values& given) {
  for (const ProbeChoice& choice : settings.probes)
    if (choice.plugin == plugin.name) return choice.parameters;
  return given;
}

std::vector<checks::Check> checks_of_probe(const Registry& registry, const Plugin& plugin, Values given,
                                           const CheckOptions& options, const checks::Note& note) {
  checks::ProbeFixtures fixtures;
  if (options.config.empty()) {
    fixtures = fixtures_of(options, registry);
  } else {
    const Settings settings = resolve(Document::load(options.config), parameters_from(registry));
    fixtures = fixtures_of(settings, registry);
    if (options.overrides.empty()) given = parameters_in(settings, plugin, given);
  }
  const checks::ProbeSource source{plugin.name, [&plugin, given] { return make_probe(plugin, given); }};
  return checks::probe_checks(std::make_shared<checks::ProbeUnderCheck>(source, std::move(fixtures), note));
}

template <class Noun>
checks::SourceOf<Noun> source_of(const Plugin& plugin, const Values& given,
                                 std::unique_ptr<Noun> (*make)(const Plugin&, const Values&)) {
  return {plugin.name, plugin.version, [&plugin, given, make] { return make(plugin, given); }};
}

std::vector<checks::Check> checks_of(const Registry& registry, const Plugin& plugin, const Values& given,
                                     const CheckOptions& options, const checks::Note& note) {
  switch (plugin.kind) {
    case PluginKind::task:
      return checks_of_task(plugin, given, note);
    case PluginKind::probe:
      return checks_of_probe(registry, plugin, given, options, note);
    case PluginKind::loss:
      return checks::loss_checks(source_of<LossFunction>(plugin, given, make_loss), note);
    case PluginKind::update:
      return checks::update_checks(source_of<Update>(plugin, given, make_update), note);
    case PluginKind::model:
      return checks::model_checks(source_of<ModelMaker>(plugin, given, make_model_maker), note);
  }
  return {};
}

// Those that must pass for small values of parameters to mean anything.
std::vector<std::string> essential_checks(PluginKind kind) {
  switch (kind) {
    case PluginKind::task:
      return {"makes its data", "shapes and dtypes"};
    case PluginKind::probe:
      return {"measures"};
    case PluginKind::loss:
      return {checks::loss_works};
    case PluginKind::update:
      return {checks::update_works};
    case PluginKind::model:
      return {checks::model_works};
  }
  return {};
}

}  // namespace

CheckSuite make_suite(const Registry& registry, const Plugin& plugin, const CheckOptions& options,
                      const checks::Note& note) {
  const Values given = parameters_of(plugin, options);
  const checks::DeclaredParameters declared = declared_by(plugin, given, note);
  CheckSuite suite{to_string(plugin.kind), plugin.name, plugin.version, plugin.file.string(),
                   checks::parameter_checks(declared)};
  for (checks::Check& check : checks_of(registry, plugin, given, options, note))
    suite.checks.push_back(std::move(check));
  suite.checks.push_back(checks::small_values_check(declared, essential_checks(plugin.kind)));
  return suite;
}

}  // namespace orrery::engine
