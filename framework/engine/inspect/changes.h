// The differences between the configs of runs.
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

/// For each config, the keys on which the configs disagree. Compares parameters of a task or model only among
/// configs with the same one. Leaves out the task's name and the keys that only decide how long a run is and
/// how often it is evaluated: [checkpoints], train.steps, train.stop_when and train.eval_every.
std::vector<std::vector<Difference>> differences(const std::vector<const Json*>& configs);

/// "p=97 lr=0.01 seeds.init=1": omits the sections task, model and train unless that is ambiguous; the kind
/// of a model is "model=mlp".
std::string keys_text(const ConfigKeys& keys);

}  // namespace orrery::engine
