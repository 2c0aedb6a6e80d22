// What differs between the configs of runs.
#pragma once

#include <string>
#include <vector>

#include "engine/config/config_keys.h"
#include "engine/run/json_read.h"

namespace orrery::engine {

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

}  // namespace orrery::engine
