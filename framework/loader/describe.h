// Descriptions of plugins as JSON, and the table of parameters in a plugin's README.
#pragma once

#include <string>

#include "loader/registry.h"

namespace orrery {

/// {"plugins": [as plugin_json], "problems": [{"file", "message", "hint"}]}
std::string plugins_json(const Registry& registry);

/// {"kind", "name", "version", "file", "summary", "parameters": [{"name", "type", "default", "doc", and,
/// where declared, "minimum", "maximum", "choices"}]}
std::string plugin_json(const Plugin& plugin);

/// The parameters as a Markdown table, as every plugin's README.md contains it.
std::string parameters_markdown(const Plugin& plugin);

}  // namespace orrery
