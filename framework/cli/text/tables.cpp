#include "cli/text/tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/text/table.h"
#include "engine/probing/headlines.h"
#include "engine/reporter/numbers.h"

namespace orrery::cli {
namespace {

std::string field_text(const Value& value) {
  if (const auto* reals = std::get_if<std::vector<double>>(&value)) {
    std::vector<std::string> entries;
    for (const double real : *reals) entries.push_back(fmt::format("{:.3g}", real));
    return fmt::format("[{}]", fmt::join(entries, ", "));
  }
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{:.4g}", *real);
  return to_string(value);
}

// Truncates long lists.
template <class T>
std::string short_text(const T& value) {
  return field_text(value);
}
template <class T>
std::string short_text(const std::vector<T>& list) {
  constexpr size_t most = 12;
  if (list.size() <= most) return field_text(list);
  const std::string begin = field_text(std::vector<T>(list.begin(), list.begin() + most - 2));
  return fmt::format("{}, ... {} in all]", begin.substr(0, begin.size() - 1), list.size());
}

}  // namespace

void HeadlineTable::add(const std::string& row, const std::vector<Outcome>& outcomes) {
  rows_.push_back({row, {}});
  for (const Outcome& outcome : outcomes)
    for (const std::string& name : outcome.record.headlines) {
      const std::string column = outcome.probe->label + " " + name;
      if (std::find(columns_.begin(), columns_.end(), column) == columns_.end()) columns_.push_back(column);
      if (const auto value = scalar_of(outcome.record, name)) rows_.back().second[column] = *value;
    }
}

std::string HeadlineTable::text() const {
  std::vector<Column> columns(columns_.size() + 1, {Align::right});
  columns[0].at_least = 8;
  Table table(std::move(columns));
  std::vector<std::string> titles = {"step"};
  titles.insert(titles.end(), columns_.begin(), columns_.end());
  table.add(std::move(titles));
  for (const auto& [step, values] : rows_) {
    std::vector<std::string> row = {step};
    for (const std::string& column : columns_) {
      const auto found = values.find(column);
      row.push_back(found == values.end() ? "" : compact(found->second));
    }
    table.add(std::move(row));
  }
  return table.text();
}

std::string finding_text(const Finding& finding) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : finding.fields) parts.push_back(name + " " + field_text(value));
  return fmt::format("{}: {}", finding.name, fmt::join(parts, ", "));
}

std::string finding_words(const Finding& finding) {
  const auto frequencies = finding.fields.find("frequencies");
  if (finding.kind != "key_frequencies" || frequencies == finding.fields.end()) {
    std::vector<std::string> parts;
    for (const auto& [name, value] : finding.fields)
      parts.push_back(name + " " + std::visit([](const auto& known) { return short_text(known); }, value));
    return fmt::format("{}: {}", finding.name, fmt::join(parts, ", "));
  }
  const auto& keys = std::get<std::vector<int64_t>>(frequencies->second);
  return keys.empty() ? "no key frequencies" : fmt::format("key frequencies {}", fmt::join(keys, ", "));
}

std::string null_text(const Record* null, const std::string& scalar) {
  if (null)
    for (const auto& [known, value] : null->scalars)
      if (known == scalar) return fmt::format(" (null {})", compact(value));
  return "";
}

std::string details_text(const std::vector<Outcome>& outcomes, const std::vector<Outcome>& nulls) {
  std::string out;
  for (const Outcome& outcome : outcomes) {
    if (!outcome.ok()) continue;
    const auto null = std::find_if(nulls.begin(), nulls.end(),
                                   [&](const Outcome& other) { return other.probe == outcome.probe; });
    Table scalars;
    for (const auto& [name, value] : outcome.record.scalars)
      scalars.add({"  " + name, fmt::format("{:.6g}{}", value,
                                            null_text(null == nulls.end() ? nullptr : &null->record, name))});
    out += fmt::format("\n{}\n{}", outcome.probe->label, scalars.text());
    for (const Finding& finding : outcome.record.findings)
      out += fmt::format("  {}\n", finding_text(finding));
  }
  return out;
}

}  // namespace orrery::cli
