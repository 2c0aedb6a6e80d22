// What a config says that is not a default, and what differs between the configs of runs.
#pragma once

#include <orrery/export.h>

#include <map>
#include <string>
#include <vector>

#include "config/settings.h"
#include "run/json_read.h"

namespace orrery {

/// The keys of a config, dotted as `--set` takes them ("task.split.rule"), with their values; lists are
/// values. Without [[probe]], [verify], [[expect]] and [log], which change nothing of a network, and without
/// its name.
ORRERY_API std::vector<std::pair<std::string, Json>> config_keys(const Json& config);

/// Those of config_keys() that are not at their defaults. Where the task or model is not known they all
/// count.
ORRERY_API std::vector<std::pair<std::string, Json>> changed_keys(const Json& config,
                                                                  const ParametersOf& parameters_of);

/// For each config the keys that not all of them agree on. Parameters of a task or model are compared among
/// those that have the same one; its name, and train.steps, are left out.
ORRERY_API std::vector<std::map<std::string, Json>> differences(const std::vector<const Json*>& configs);

/// "p=97 lr=0.01 seeds.init=1": the sections task, model and train are left out where that is clear.
ORRERY_API std::string keys_text(const std::vector<std::pair<std::string, Json>>& keys);

/// A value as keys_text writes it: text without quotes.
ORRERY_API std::string value_text(const Json& value);

}  // namespace orrery
