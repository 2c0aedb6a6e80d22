#include "cli/text/effects.h"

#include <fmt/format.h>

#include "cli/text/table.h"
#include "engine/reporter/numbers.h"
#include "engine/run/json_write.h"

namespace orrery::cli {
namespace {

std::string cell(const std::string& name, double value) {
  return name == "accuracy" ? fmt::format("{:.2f}%", 100 * value) : compact(value);
}

std::string change(const std::string& name, double before, double after) {
  const double by = after - before;
  return (by < 0 ? "" : "+") + cell(name, by);
}

}  // namespace

std::string effects_text(const std::string& what, const Metrics& plain, const std::vector<Effect>& effects,
                         size_t width) {
  std::vector<Column> columns(plain.size() + 1, {Align::right});
  columns[0] = {Align::left, 0, 20};
  Table table(std::move(columns));
  std::vector<std::string> names = {what}, values = {"none (baseline)"};
  for (const auto& [name, value] : plain) {
    names.push_back(name);
    values.push_back(cell(name, value));
  }
  table.add(std::move(names));
  table.add(std::move(values));
  table.add({"change:"});
  for (const Effect& effect : effects) {
    std::vector<std::string> row = {effect.name};
    for (size_t i = 0; i < plain.size(); ++i)
      row.push_back(change(plain[i].first, plain[i].second, effect.scores[i].second));
    table.add(std::move(row));
  }
  return table.text(width);
}

std::string effects_json(const Metrics& plain, const std::vector<Effect>& effects) {
  Json first{{"component", nullptr}};
  for (const auto& [name, value] : plain) first[name] = json_real(value);
  std::string out = first.dump() + "\n";
  for (const Effect& effect : effects) {
    Json line{{"component", effect.name}};
    for (const auto& [name, value] : effect.scores) line[name] = json_real(value);
    for (size_t i = 0; i < plain.size(); ++i)
      line["change"][plain[i].first] = json_real(effect.scores[i].second - plain[i].second);
    out += line.dump() + "\n";
  }
  return out;
}

std::string patch_json(const std::string& component, double logit_difference, double moved) {
  return Json{{"component", component},
              {"logit_difference", json_real(logit_difference)},
              {"moved", json_real(moved)}}
             .dump() +
         "\n";
}

}  // namespace orrery::cli
