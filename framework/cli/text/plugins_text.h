// The output of `orrery plugins` and `orrery describe NAME`.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/text/table.h"
#include "engine/config/reference.h"
#include "loader/registry.h"

namespace orrery::cli {

/// Every plugin on a line of aligned columns, then the files that were not loaded, with the remedy for each.
/// In lines of at most `width` characters: if the files do not fit beside the summaries, their folders stand
/// above the plugins.
std::string plugins_text(const Registry& registry, size_t width = no_limit);

/// Name, version, summary and file, then a table of the parameters.
std::string plugin_text(const Plugin& plugin, size_t width = no_limit);

/// The keys of these tables of a config, with a heading for each.
std::string config_text(const std::vector<engine::ConfigTable>& tables, size_t width = no_limit);

}  // namespace orrery::cli
