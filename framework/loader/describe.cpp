#include "loader/describe.h"

#include <fmt/format.h>

#include <algorithm>

#include "loader/json.h"

namespace orrery {
namespace {

using nlohmann::ordered_json;

ordered_json as_json(const Plugin& plugin) {
  ordered_json out = {{"kind", to_string(plugin.kind)}, {"name", plugin.name},
                      {"version", plugin.version},      {"file", plugin.file.string()},
                      {"summary", plugin.summary},      {"parameters", ordered_json::array()}};
  for (const Field& field : plugin.parameters) out["parameters"].push_back(field_json(field));
  return out;
}

// A file name need not be UTF-8; JSON must be.
std::string dumped(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

// A bar would end the table cell.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}
std::string code(const std::string& text) { return text.empty() ? "" : "`" + cell(text) + "`"; }

}  // namespace

ordered_json field_json(const Field& field) {
  ordered_json out = {{"name", field.name}, {"type", field.type()}, {"default", to_json(field.fallback)}};
  if (field.minimum) out["minimum"] = *field.minimum;
  if (field.maximum) out["maximum"] = *field.maximum;
  if (!field.choices.empty()) out["choices"] = field.choices;
  out["doc"] = field.doc;
  return out;
}

std::string plugins_json(const Registry& registry) {
  ordered_json out = {{"plugins", ordered_json::array()}, {"problems", ordered_json::array()}};
  for (const auto& plugin : registry.plugins()) out["plugins"].push_back(as_json(*plugin));
  for (const Problem& problem : registry.problems())
    out["problems"].push_back(
        {{"file", problem.file.string()}, {"message", problem.message}, {"hint", problem.hint}});
  return dumped(out);
}

std::string plugin_json(const Plugin& plugin) { return dumped(as_json(plugin)); }

std::string fields_markdown(const std::string& title, const std::vector<Field>& fields,
                            const std::vector<std::string>& required) {
  std::string out = fmt::format("| {} | type | default | bounds | meaning |\n|---|---|---|---|---|\n", title);
  for (const Field& field : fields) {
    const bool must = std::find(required.begin(), required.end(), field.name) != required.end();
    out += fmt::format("| {} | {} | {} | {} | {} |\n", code(field.name), field.type(),
                       must ? "required" : code(to_string(field.fallback)), cell(field.bounds()),
                       cell(field.doc));
  }
  return out;
}

std::string parameters_markdown(const Plugin& plugin) {
  return plugin.parameters.empty() ? "No parameters.\n" : fields_markdown("parameter", plugin.parameters);
}

}  // namespace orrery
