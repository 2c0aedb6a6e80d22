#include "cli/text/plugins_text.h"

#include <fmt/format.h>

#include "cli/text/table.h"

namespace orrery::cli {
namespace {

std::string parameters_text(const Plugin& plugin) {
  Table table;
  table.add({"parameter", "type", "default", "bounds", "meaning"});
  for (const Field& field : plugin.parameters)
    table.add({field.name, field.type(), to_string(field.fallback), field.bounds(), field.doc});
  return table.text();
}

}  // namespace

std::string plugins_text(const Registry& registry) {
  Table table;
  table.add({"kind", "name", "version", "file", "summary"});
  for (const auto& plugin : registry.plugins())
    table.add(
        {to_string(plugin->kind), plugin->name, plugin->version, plugin->file.string(), plugin->summary});
  std::string out = registry.plugins().empty() ? "no plugins are loaded\n" : table.text();
  if (!registry.problems().empty()) out += "\nnot loaded:\n";
  for (const Problem& problem : registry.problems()) {
    out += "  " + indented(problem.text(), "  ") + "\n";
    if (!problem.hint.empty()) out += "    " + indented(problem.hint, "    ") + "\n";
  }
  return out;
}

std::string plugin_text(const Plugin& plugin) {
  const std::string head = fmt::format("{} {} {}\n{}\nfile: {}\n\n", to_string(plugin.kind), plugin.name,
                                       plugin.version, plugin.summary, plugin.file.string());
  return head + (plugin.parameters.empty() ? "no parameters\n" : parameters_text(plugin));
}

}  // namespace orrery::cli
