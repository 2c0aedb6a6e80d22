// What a config says that is not a default, and what differs between the configs of runs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/config/settings.h"
#include "engine/run/json_read.h"

namespace orrery::engine {

/// Dotted as `--set` takes them ("task.split.rule"), in the order of the config; lists are values.
using ConfigKeys = std::vector<std::pair<std::string, Json>>;

/// Without [[probe]], [verify], [[expect]] and [log], which change nothing of a network, and without its
/// name.
ConfigKeys config_keys(const Json& config);

/// Those of config_keys() that are not at their defaults. Where the task or model is not known they all
/// count.
ConfigKeys changed_keys(const Json& config, const ParametersOf& parameters_of);

struct Difference {
  std::string key;
  Json value;
  bool common = false;  ///< more than half of the configs that have the key have this value
};

/// For each config the keys that not all of them agree on. Parameters of a task or model are compared among
/// those that have the same one. Without the task's name, and without what only says how long a run is and
/// how often it is looked at: [checkpoints], train.steps, train.stop_when and train.eval_every.
std::vector<std::vector<Difference>> differences(const std::vector<const Json*>& configs);

/// "p=97 lr=0.01 seeds.init=1": the sections task, model and train are left out where that is clear; the kind
/// of a model is "model=mlp".
std::string keys_text(const ConfigKeys& keys);

/// A value as keys_text writes it: text without quotes.
std::string value_text(const Json& value);

}  // namespace orrery::engine
