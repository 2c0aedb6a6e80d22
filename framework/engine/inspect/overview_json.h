// An overview as data: `orrery show --json`.
#pragma once

#include <string>

#include "engine/config/settings.h"
#include "engine/inspect/overview.h"

namespace orrery::engine {

/// One indented JSON object with the keys that `orrery show --help` lists. `parameters_of` tells which values
/// of the config are defaults.
std::string overview_json(const RunOverview& seen, const ParametersOf& parameters_of);

}  // namespace orrery::engine
