#include "cli/text/effects.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/text/terminal.h"
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

std::string effects_text(const Metrics& plain, const std::vector<Effect>& effects) {
  std::vector<std::vector<std::string>> rows = {{"exchanged"}, {"nothing"}};
  for (const auto& [name, value] : plain) {
    rows[0].push_back(name);
    rows[1].push_back(cell(name, value));
  }
  for (const Effect& effect : effects) {
    rows.push_back({effect.name});
    for (size_t i = 0; i < plain.size(); ++i)
      rows.back().push_back(change(plain[i].first, plain[i].second, effect.scores[i].second));
  }
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows)
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  std::string out;
  for (const auto& row : rows) {
    out += fmt::format("{:<{}}", row[0], widths[0]);
    for (size_t c = 1; c < row.size(); ++c) out += fmt::format("  {:>{}}", row[c], widths[c]);
    out += "\n";
  }
  return out;
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
