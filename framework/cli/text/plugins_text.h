// The output of `orrery plugins` and `orrery describe NAME`.
#pragma once

#include <string>

#include "loader/registry.h"

namespace orrery::cli {

/// Every plugin on a line of aligned columns, then the files that were not loaded, with the remedy for each.
std::string plugins_text(const Registry& registry);

/// Name, version, summary and file, then a table of the parameters.
std::string plugin_text(const Plugin& plugin);

}  // namespace orrery::cli
