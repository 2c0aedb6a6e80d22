#include "loader/describe.h"

#include <fmt/format.h>

#include <algorithm>

#include "loader/json.h"

namespace orrery {
namespace {

using nlohmann::ordered_json;
using Row = std::vector<std::string>;

// Characters, not bytes, of UTF-8 text.
size_t width(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

// Columns padded to their widest entry; the last one is not padded.
std::string aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(i + 1 < row.size() ? widths[i] - width(row[i]) + 2 : 0, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::vector<Row> parameter_rows(const Plugin& plugin) {
  std::vector<Row> rows = {{"parameter", "type", "default", "bounds", "meaning"}};
  for (const Field& field : plugin.parameters)
    rows.push_back({field.name, field.type(), to_string(field.fallback), field.bounds(), field.doc});
  return rows;
}

std::string indented(const std::string& text, const std::string& by) {
  std::string out = by;
  for (const char c : text) {
    out += c;
    if (c == '\n') out += by;
  }
  return out;
}

ordered_json as_json(const Field& field) {
  ordered_json out = {{"name", field.name}, {"type", field.type()}, {"default", to_json(field.fallback)}};
  if (field.minimum) out["minimum"] = *field.minimum;
  if (field.maximum) out["maximum"] = *field.maximum;
  if (!field.choices.empty()) out["choices"] = field.choices;
  out["doc"] = field.doc;
  return out;
}

ordered_json as_json(const Plugin& plugin) {
  ordered_json out = {{"kind", to_string(plugin.kind)}, {"name", plugin.name},
                      {"version", plugin.version},      {"file", plugin.file.string()},
                      {"summary", plugin.summary},      {"parameters", ordered_json::array()}};
  for (const Field& field : plugin.parameters) out["parameters"].push_back(as_json(field));
  return out;
}

// A file name need not be UTF-8; JSON must be.
std::string dumped(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

// A bar would end the cell.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}
std::string code(const std::string& text) { return text.empty() ? "" : "`" + cell(text) + "`"; }

}  // namespace

std::string plugins_text(const Registry& registry) {
  std::vector<Row> rows = {{"kind", "name", "version", "file", "summary"}};
  for (const auto& plugin : registry.plugins())
    rows.push_back(
        {to_string(plugin->kind), plugin->name, plugin->version, plugin->file.string(), plugin->summary});
  std::string out = rows.size() > 1 ? aligned(rows) : "no plugins are loaded\n";
  if (!registry.problems().empty()) out += "\nnot loaded:\n";
  for (const Problem& problem : registry.problems()) {
    out += indented(problem.text(), "  ") + "\n";
    if (!problem.hint.empty()) out += indented(problem.hint, "    ") + "\n";
  }
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

std::string plugin_text(const Plugin& plugin) {
  const std::string head = fmt::format("{} {} {}\n{}\nfile: {}\n\n", to_string(plugin.kind), plugin.name,
                                       plugin.version, plugin.summary, plugin.file.string());
  return head + (plugin.parameters.empty() ? "no parameters\n" : aligned(parameter_rows(plugin)));
}

std::string plugin_json(const Plugin& plugin) { return dumped(as_json(plugin)); }

std::string parameters_markdown(const Plugin& plugin) {
  if (plugin.parameters.empty()) return "No parameters.\n";
  std::string out = "| parameter | type | default | bounds | meaning |\n|---|---|---|---|---|\n";
  for (const Field& field : plugin.parameters)
    out += fmt::format("| {} | {} | {} | {} | {} |\n", code(field.name), field.type(),
                       code(to_string(field.fallback)), cell(field.bounds()), cell(field.doc));
  return out;
}

}  // namespace orrery
