#include "engine/training/overrides.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>

#include "engine/config/config_keys.h"
#include "engine/run/run_json.h"
#include "engine/train/learning_rate.h"

namespace orrery::engine {
namespace {

// Whole sections and single keys: what a network is, what it learns, and what its optimiser's state fits.
constexpr const char* fixed[] = {"task",
                                 "model",
                                 "seeds",
                                 "init",
                                 "train.optimizer",
                                 "train.l1",
                                 "train.batch_size",
                                 "train.loss_dtype",
                                 "train.dtype",
                                 "train.loss",
                                 "train.update",
                                 "train.group",
                                 "train.intervene",
                                 "train.output_scale",
                                 "train.label_noise",
                                 "train.dropout",
                                 "train.dropout_at"};

bool is_fixed(const std::string& key) {
  return std::any_of(std::begin(fixed), std::end(fixed), [&](const std::string& each) {
    return key == each || key.starts_with(each + ".") || section_of(key) == each;
  });
}

Json value_of(const ConfigKeys& keys, const std::string& key) {
  for (const auto& [known, value] : keys)
    if (known == key) return value;
  return nullptr;
}

// Dotted keys, then the parts that are lists of tables.
ConfigKeys flat(const Json& config) {
  ConfigKeys keys = config_keys(config, Sections::all);
  std::vector<std::string> parts = describing_keys();
  parts.push_back("probe");
  for (const std::string& part : parts)
    if (config.contains(part)) keys.emplace_back(part, config[part]);
  return keys;
}

}  // namespace

Json changes_on_resume(const Settings& before, const Settings& now) {
  const ConfigKeys old_keys = flat(parse_json(to_json(before), "config")),
                   new_keys = flat(parse_json(to_json(now), "config"));
  Json changes = Json::array();
  const auto compare = [&](const std::string& key) {
    const Json from = value_of(old_keys, key), to = value_of(new_keys, key);
    if (from == to) return;
    if (is_fixed(key))
      throw UsageError(
          fmt::format("{} is {} in this run, and cannot become {}: it would be another experiment", key,
                      value_text(from), value_text(to)),
          "train another run with it: orrery train CONFIG --set ...; a resumed one takes other "
          "train.steps, train.stop_when, train.lr, checkpoints, probes");
    changes.push_back({{"key", key}, {"from", from}, {"to", to}});
  };
  for (const auto& [key, value] : old_keys) compare(key);
  for (const auto& [key, value] : new_keys)
    if (value_of(old_keys, key).is_null()) compare(key);
  return changes;
}

void warn_of_schedule(const Json& changes, const TrainSettings& now, int64_t step, Reporter& reporter) {
  TrainSettings before = now;
  for (const Json& change : changes)
    if (change["key"] == "train.steps") before.steps = change["from"].get<int64_t>();
  const double was = lr_factor(before, step), is = lr_factor(now, step);
  if (std::abs(is - was) <= 1e-3) return;
  reporter.warning(
      fmt::format(
          "train.lr_schedule spans train.steps, which are {} now and were {}: at step {} the learning rate "
          "goes on from {:.3g} of train.lr, and had come to {:.3g}",
          now.steps, before.steps, step, is, was),
      "to go on at a rate of your own: --set train.lr_schedule=constant --set train.lr=RATE");
}

void refuse_other_data(const RunDirectory& run, const Experiment& experiment) {
  const std::string where = (run.root() / "run.json").string();
  const std::string before = text_in(parse_checked_object(read_file(where), where), "data");
  if (before.empty() || experiment.describe()["data"] == Json(before)) return;
  throw UsageError(
      fmt::format("{}: the task {} now gives other data than those that this run was trained on",
                  run.root().string(), experiment.settings().task.name),
      "put back the files that its parameters name, or the plugin as it was; or train another run");
}

}  // namespace orrery::engine
