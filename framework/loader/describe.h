// Descriptions of plugins as JSON, and the table of parameters in a plugin's README.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loader/registry.h"

namespace orrery {

/// {"name", "type", "default", "doc", and, where declared, "minimum", "maximum", "choices"}
nlohmann::ordered_json field_json(const Field& field);

/// A Markdown table of declared parameters, whose first column is called `title`. Those in `required` have no
/// default.
std::string fields_markdown(const std::string& title, const std::vector<Field>& fields,
                            const std::vector<std::string>& required = {});

/// {"plugins": [as plugin_json], "problems": [{"file", "message", "hint"}]}
std::string plugins_json(const Registry& registry);

/// {"kind", "name", "version", "file", "summary", "parameters": [{"name", "type", "default", "doc", and,
/// where declared, "minimum", "maximum", "choices"}]}
std::string plugin_json(const Plugin& plugin);

/// The parameters as a Markdown table, as every plugin's README.md contains it.
std::string parameters_markdown(const Plugin& plugin);

}  // namespace orrery
