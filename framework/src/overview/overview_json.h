// An overview as data: `orrery show --json`.
#pragma once

#include <orrery/export.h>

#include <string>

#include "config/settings.h"
#include "overview/overview.h"

namespace orrery {

/// One JSON object, indented. Its keys are those that `orrery show --help` lists. `parameters_of` tells which
/// values of the config are defaults.
ORRERY_API std::string overview_json(const Overview& seen, const ParametersOf& parameters_of);

}  // namespace orrery
