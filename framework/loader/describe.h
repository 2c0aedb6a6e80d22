// What `orrery plugins` and `orrery describe NAME` print, and the table of parameters in a plugin's README.
#pragma once

#include <string>

#include "loader/registry.h"

namespace orrery {

/// Every plugin on a line of aligned columns, then the files that were not loaded, with the cure for each.
std::string plugins_text(const Registry& registry);
/// {"plugins": [as plugin_json], "problems": [{"file", "message", "hint"}]}
std::string plugins_json(const Registry& registry);

/// Name, version, summary and file, then a table of the parameters.
std::string plugin_text(const Plugin& plugin);
/// {"kind", "name", "version", "file", "summary", "parameters": [{"name", "type", "default", "doc", and,
/// where declared, "minimum", "maximum", "choices"}]}
std::string plugin_json(const Plugin& plugin);

/// The parameters as a Markdown table, as every plugin's README.md contains it.
std::string parameters_markdown(const Plugin& plugin);

}  // namespace orrery
