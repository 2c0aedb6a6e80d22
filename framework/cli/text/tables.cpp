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
      const std::pair column(outcome.probe->label, name);
      if (std::find(columns_.begin(), columns_.end(), column) == columns_.end()) columns_.push_back(column);
      if (const auto value = scalar_of(outcome.record, name)) rows_.back().second[column] = *value;
    }
}

std::string HeadlineTable::text(size_t width) const {
  std::vector<Column> columns(columns_.size() + 1, {Align::right});
  columns[0].at_least = 8;
  // On one line, the titles are the widest part of the table; on two they take half of it.
  Table one_title(columns), two_titles(columns);
  std::vector<std::string> titles = {"step"}, labels = {""}, names = {"step"};
  for (const auto& [label, name] : columns_) {
    titles.push_back(label + " " + name);
    labels.push_back(label);
    names.push_back(name);
  }
  one_title.add(std::move(titles));
  two_titles.add(std::move(labels));
  two_titles.add(std::move(names));
  for (const auto& [step, values] : rows_) {
    std::vector<std::string> row = {step};
    for (const auto& column : columns_) {
      const auto found = values.find(column);
      row.push_back(found == values.end() ? "" : compact(found->second));
    }
    one_title.add(row);
    two_titles.add(std::move(row));
  }
  return one_title.width() <= width ? one_title.text() : two_titles.text(width);
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

std::string details_text(const std::vector<Outcome>& outcomes, const std::vector<Outcome>& nulls,
                         size_t width) {
  std::string out;
  for (const Outcome& outcome : outcomes) {
    if (!outcome.ok()) continue;
    const auto null = std::find_if(nulls.begin(), nulls.end(),
                                   [&](const Outcome& other) { return other.probe == outcome.probe; });
    Table scalars(std::vector<Column>{{Align::left, 0, 16}});
    for (const auto& [name, value] : outcome.record.scalars)
      scalars.add({"  " + name, fmt::format("{:.6g}{}", value,
                                            null_text(null == nulls.end() ? nullptr : &null->record, name))});
    out += fmt::format("\n{}\n{}", outcome.probe->label, scalars.text(width));
    for (const Finding& finding : outcome.record.findings)
      out += wrapped("  " + finding_text(finding), 4, width) + "\n";
  }
  return out;
}

}  // namespace orrery::cli
