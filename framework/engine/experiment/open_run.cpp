#include "engine/experiment/open_run.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <sstream>

#include "engine/config/parse_text.h"
#include "engine/config/step_choice.h"
#include "engine/run/run_json.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {
namespace {

std::vector<int64_t> steps_of(const std::vector<CheckpointFile>& checkpoints) {
  std::vector<int64_t> steps;
  for (const CheckpointFile& checkpoint : checkpoints) steps.push_back(checkpoint.step);
  return steps;
}

double test_accuracy(const MetricsRow& row) {
  for (const auto& [name, value] : row.values)
    if (name == "test/accuracy") return value;
  return 0;
}

Value value_in(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  if (!json.is_array()) return json.get<std::string>();
  const auto all = [&](auto&& is) { return std::all_of(json.begin(), json.end(), is); };
  if (all([](const Json& each) { return each.is_number_integer(); })) return json.get<std::vector<int64_t>>();
  if (all([](const Json& each) { return each.is_number(); })) return json.get<std::vector<double>>();
  return json.get<std::vector<std::string>>();
}

// `entry`, the parameters of a plugin as the run stored them, as if they had been declared so.
void add_stored(const Json& entry, const std::string& prefix, std::vector<Field>& fields) {
  for (const auto& [key, value] : entry.items())
    if (value.is_object())
      add_stored(value, prefix + key + ".", fields);
    else
      fields.push_back({prefix + key, value_in(value), "as the run stored it", {}, {}, {}});
}

// Those of a loss or an update that is not here.
std::vector<Field> stored_parameters(const Json& config, const std::string& kind, const std::string& name) {
  const Json train = config.value("train", Json::object());
  Json entries = train.value(kind, Json::array());
  if (entries.is_object()) entries = Json::array({entries});
  std::vector<Field> fields;
  for (Json entry : entries) {
    if (!entry.is_object() || entry.value("name", "") != name) continue;
    for (const char* reserved : {"name", "label", "weights", "enabled"}) entry.erase(reserved);
    std::vector<Field> own;
    add_stored(entry, "", own);
    for (Field& field : own)
      if (std::none_of(fields.begin(), fields.end(),
                       [&](const Field& known) { return known.name == field.name; }))
        fields.push_back(std::move(field));
  }
  return fields;
}

// The parameters of plugins as `registry` has them. For one that it lacks, the error says where the plugin
// was when the run was made.
ParametersOf parameters_for(const RunJson& info, const Registry& registry, OpenFor what) {
  return [&info, what, find = parameters_from(registry)](const std::string& kind, const std::string& name) {
    try {
      return find(kind, name);
    } catch (const UsageError& error) {
      if (what == OpenFor::looking && (kind == "loss" || kind == "update"))
        return stored_parameters(info.config, kind, name);
      for (const PluginInfo& plugin : info.plugins)
        if (plugin.kind == kind && plugin.name == name && !plugin.file.empty())
          throw UsageError(error.what(), fmt::format("when the run was made, it was {0} {1} in {2}: give "
                                                     "--plugin {2}, or where it is now\n  {3}",
                                                     kind, plugin.version, plugin.file, error.hint()));
      throw;
    }
  };
}

// `config`, and a key for each that `overrides` ("task.p=7") set: what somebody asks for is no default.
Json with_keys_of(const std::vector<std::string>& overrides, Json config) {
  for (const std::string& each : overrides) {
    Json* at = &config;
    std::istringstream parts(each.substr(0, each.find('=')));
    for (std::string key; at->is_object() && std::getline(parts, key, '.');) {
      if (!at->contains(key)) (*at)[key] = Json::object();
      at = &(*at)[key];
    }
  }
  return config;
}

}  // namespace

Settings read_settings(const RunDirectory& run, const Registry& registry, OpenFor what,
                       const std::vector<std::string>& overrides) {
  const RunJson info = read_run_json(run.root());
  Settings settings =
      resolve(Document::from_json(info.config.dump(), (run.root() / "run.json").string(), overrides),
              parameters_for(info, registry, what));
  settings.stored = with_keys_of(overrides, info.config).dump();
  return settings;
}

int64_t grokked_step(const RunDirectory& run, const std::vector<int64_t>& there, const std::string& option) {
  double best = 0;
  const std::string where = fmt::format("{} grokked: {}", option, run.root().string());
  for (const MetricsRow& row : run.read_metrics()) {
    best = std::max(best, test_accuracy(row));
    if (test_accuracy(row) < grokked_accuracy) continue;
    if (const auto found = std::lower_bound(there.begin(), there.end(), row.step); found != there.end())
      return *found;
    throw UsageError(fmt::format("{}: it reaches 99 % test accuracy at step {}, and no checkpoint is later",
                                 where, row.step));
  }
  throw UsageError(
      fmt::format("{}: it never reaches 99 % test accuracy; the most is {:.2f} %", where, 100 * best),
      "leave this run out, or take another checkpoint, such as last");
}

CheckpointFile choose_checkpoint(const RunDirectory& run, const std::string& which,
                                 const std::string& option) {
  const std::vector<CheckpointFile> all = run.checkpoints();
  require_checkpoints(steps_of(all), run.root().string());
  if (which == "last") return all.back();
  if (which == "first") return all.front();
  const std::optional<int64_t> step =
      which == "grokked" ? grokked_step(run, steps_of(all), option) : parse_integer(which);
  if (!step || *step < 0)
    throw UsageError(
        fmt::format("{}: expected first, last, grokked or a step such as 1000; got \"{}\"", option, which));
  for (const CheckpointFile& checkpoint : all)
    if (checkpoint.step == *step) return checkpoint;
  refuse_gone(run, {*step}, option);
  refuse_step(option, *step, steps_of(all), run.root().string());
}

void refuse_gone(const RunDirectory& run, const std::vector<int64_t>& steps, const std::string& option) {
  for (const int64_t step : steps) {
    std::error_code ignored;
    if (std::filesystem::exists(run.checkpoint_path(step), ignored)) continue;
    for (const std::string& label : run.probe_labels())
      for (const ProbeResult& result : run.read_probe_results(label, RunDirectory::ProbeData::leave_out))
        if (result.step == step)
          throw UsageError(
              fmt::format("{}: there is no checkpoint of step {} in {} any more", option, step,
                          run.root().string()),
              fmt::format("what probes measured from it stays (orrery show, orrery report), and cannot "
                          "be computed again; there are {}, from step {} to {}",
                          run.checkpoints().size(), run.checkpoints().front().step,
                          run.checkpoints().back().step));
  }
}

std::optional<std::pair<std::string, std::string>> other_plugin(const PluginInfo& before, const Plugin& now) {
  const std::string who = fmt::format("{} {}", before.kind, before.name);
  if (before.version != now.version)
    return {{fmt::format("{}: the run was made with version {}, and this is {}", who, before.version,
                         now.version),
             "if its meaning changed, train anew; results of the two versions are kept apart"}};
  if (!before.build.empty() && before.build != now.build)
    return {{fmt::format("{}: the run was made with another build of version {}", who, before.version),
             "if its source was changed, raise its version and train anew"}};
  return std::nullopt;
}

void load_checkpoint(Experiment& experiment, const CheckpointFile& checkpoint) {
  const TensorFile file = read_tensors(checkpoint.path);
  if (const auto step = file.metadata.find("step");
      step != file.metadata.end() && step->second != std::to_string(checkpoint.step))
    throw Error(fmt::format("{}: it is the checkpoint of step {}", checkpoint.path.string(), step->second),
                "it was renamed, or replaced by another");
  try {
    load_weights(experiment.model(), file.tensors);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", checkpoint.path.string(), error.what()), error.hint());
  }
}

NetworkAtStep::NetworkAtStep(const Registry& registry, const std::string& path, const std::string& which,
                             const std::string& option)
    : run_(RunDirectory::open(path, RunDirectory::Access::read)),
      checkpoint_(choose_checkpoint(run_, which, option)) {
  experiment_ = std::make_unique<Experiment>(registry, read_settings(run_, registry), torch::kCPU);
  load_checkpoint(*experiment_, checkpoint_);
}

const Batch& NetworkAtStep::inputs(const std::string& which) const {
  const Split& split = experiment_->split();
  if (which == "train") return split.train;
  if (which == "test") return split.test;
  if (split.grid) return *split.grid;
  throw UsageError("--inputs grid: this task is too large to list every possible input",
                   "choose train or test");
}

}  // namespace orrery::engine
