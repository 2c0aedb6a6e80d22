#include "cli/text/plugins_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/text/shown.h"

namespace orrery::cli {
namespace {

// A table of keys or parameters. On a narrow terminal the meanings take several lines.
std::string fields_text(const std::string& title, const std::vector<Field>& fields, size_t width,
                        const std::vector<std::string>& required = {}) {
  Table table({{}, {}, {Align::left, 0, 10, true}, {Align::left, 0, 10, true}, {Align::left, 0, 20, true}});
  table.add({title, "type", "default", "bounds", "meaning"});
  for (const Field& field : fields) {
    const bool must = std::find(required.begin(), required.end(), field.name) != required.end();
    table.add(
        {field.name, field.type(), must ? "required" : to_string(field.fallback), field.bounds(), field.doc});
  }
  return table.text(width);
}

std::string plain_list(const Registry& registry) {
  Table table;
  table.add({"kind", "name", "version", "file", "summary"});
  for (const auto& plugin : registry.plugins())
    table.add(
        {to_string(plugin->kind), plugin->name, plugin->version, plugin->file.string(), plugin->summary});
  return table.text();
}

// The plugins of one folder after those of another, without their files.
std::string list_by_folder(const Registry& registry, size_t width) {
  Table table({{}, {}, {}, {Align::left, 0, 20, true}});
  table.add({"kind", "name", "version", "summary"});
  std::string folder;
  for (const auto& plugin : registry.plugins()) {
    if (const std::string own = plugin->file.parent_path().string(); own != folder) {
      table.add({wrapped("in " + own, 3, width)});
      folder = own;
    }
    table.add({to_string(plugin->kind), plugin->name, plugin->version, plugin->summary});
  }
  return table.text(width);
}

}  // namespace

std::string plugins_text(const Registry& registry, size_t width) {
  std::string out = registry.plugins().empty() ? "no plugins are loaded\n" : plain_list(registry);
  size_t widest = 0;
  for (size_t begin = 0, end; begin < out.size(); begin = end + 1) {
    end = std::min(out.find('\n', begin), out.size());
    widest = std::max(widest, width_of(out.substr(begin, end - begin)));
  }
  if (widest > width) out = list_by_folder(registry, width);
  if (!registry.problems().empty()) out += "\nnot loaded:\n";
  for (const Problem& problem : registry.problems()) {
    out += "  " + indented(wrapped(shortened(problem.text()), 2, width - 2), "  ") + "\n";
    if (!problem.hint.empty())
      out += "    " + indented(wrapped(shortened(problem.hint), 2, width - 4), "    ") + "\n";
  }
  return out;
}

std::string plugin_text(const Plugin& plugin, size_t width) {
  const std::string head =
      fmt::format("{} {} {}\n{}\nfile: {}\n\n", to_string(plugin.kind), plugin.name, plugin.version,
                  wrapped(plugin.summary, 0, width), plugin.file.string());
  return head +
         (plugin.parameters.empty() ? "no parameters\n" : fields_text("parameter", plugin.parameters, width));
}

std::string config_text(const std::vector<engine::ConfigTable>& tables, size_t width) {
  std::string out;
  for (const engine::ConfigTable& table : tables)
    out += fmt::format("{}{}\n\n{}", out.empty() ? "" : "\n",
                       wrapped(fmt::format("{}: {}", table.title, table.meaning), 2, width),
                       fields_text("key", table.keys, width, table.required));
  return out;
}

}  // namespace orrery::cli
