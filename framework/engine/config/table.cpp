#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <stdexcept>

#include "engine/config/document.h"
#include "engine/config/reader.h"

namespace orrery::engine {

void refuse(const std::string& place, const std::string& what, const std::string& hint) {
  throw UsageError(place + ": " + what, hint);
}

struct Table::Entry {
  std::string key;
  std::string place;
  Content content;
  std::string value_place;  // "": not told
};

Table::Table(std::string place, std::string path) : place_(std::move(place)), path_(std::move(path)) {}
Table::Table(const Table&) = default;
Table::Table(Table&&) noexcept = default;
Table& Table::operator=(const Table&) = default;
Table& Table::operator=(Table&&) noexcept = default;
Table::~Table() = default;

const Table::Entry* Table::find(const std::string& key) const {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  return found == entries_.end() ? nullptr : &*found;
}

std::vector<std::string> Table::keys() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.key);
  return names;
}

Table::Kind Table::kind(const std::string& key) const {
  const Entry* entry = find(key);
  if (!entry) return Kind::absent;
  static constexpr Kind kinds[] = {Kind::value, Kind::table, Kind::tables};
  return kinds[entry->content.index()];
}

const std::string& Table::place(const std::string& key) const {
  const Entry* entry = find(key);
  return entry ? entry->place : place_;
}

const std::string& Table::value_place(const std::string& key) const {
  const Entry* entry = find(key);
  return entry && !entry->value_place.empty() ? entry->value_place : place(key);
}

std::string Table::path(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

const Table::Content& Table::content(const std::string& key) const {
  if (const Entry* entry = find(key)) return entry->content;
  throw std::out_of_range("no key " + path(key));
}

Table Table::table(const std::string& key) const {
  const Entry* entry = find(key);
  if (!entry) return Table(place_, path(key));
  if (const auto* table = std::get_if<Table>(&entry->content)) return *table;
  refuse(entry->place,
         fmt::format("{0}: expected one table, written [{0}], got {1}", path(key), describe(entry->content)));
}

std::vector<Table> Table::tables(const std::string& key) const {
  const Entry* entry = find(key);
  if (!entry) return {};
  if (const auto* tables = std::get_if<std::vector<Table>>(&entry->content)) return *tables;
  // `probe = []` has no entry to tell a list of tables from a list of values.
  if (const auto* value = std::get_if<Value>(&entry->content))
    if (const auto* list = std::get_if<std::vector<int64_t>>(value); list && list->empty()) return {};
  refuse(entry->place, fmt::format("{0}: expected a list of tables, each written [[{0}]], got {1}", path(key),
                                   describe(entry->content)));
}

void Table::set(const std::string& key, std::string place, Content content, std::string value_place) {
  Entry made{key, std::move(place), std::move(content), std::move(value_place)};
  if (const Entry* entry = find(key))
    entries_[entry - entries_.data()] = std::move(made);
  else
    entries_.push_back(std::move(made));
}

std::string describe(const Table::Content& content) {
  if (std::holds_alternative<Table>(content)) return "a table";
  if (std::holds_alternative<std::vector<Table>>(content)) return "a list of tables";
  const Value& value = std::get<Value>(content);
  const std::string type = Field{"", value, "", {}, {}, {}}.type();
  return fmt::format("{} ({} {})", to_string(value), type == "integer" ? "an" : "a", type);
}

}  // namespace orrery::engine
