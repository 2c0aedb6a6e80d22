#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/config/config_keys.h"
#include "engine/config/reader.h"
#include "engine/config/sweep_reader.h"

namespace orrery::engine {
namespace {

// The name, claims and tier of a config do not belong to a run's identity.
void refuse_unswept(const std::string& key, const std::string& place) {
  if (describes(section_of(key)))
    refuse(place, fmt::format("{}: a sweep cannot set this: it does not change the run", key));
}

void collect(const Table& table, const std::string& prefix, std::vector<WrittenKey>& into) {
  for (const std::string& name : table.keys()) {
    const std::string key = prefix.empty() ? name : prefix + "." + name;
    refuse_unswept(key, table.place(name));
    const Table::Content& content = table.content(name);
    if (const auto* inner = std::get_if<Table>(&content))
      collect(*inner, key, into);
    else
      into.push_back({key, table.place(name), table.value_place(name), &content});
  }
}

std::optional<double> number_of(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return std::nullopt;
}

// [1, 2] is [1.0, 2.0], too.
std::optional<std::vector<double>> numbers_of(const Value& value) {
  if (const auto* integers = std::get_if<std::vector<int64_t>>(&value))
    return std::vector<double>(integers->begin(), integers->end());
  if (const auto* reals = std::get_if<std::vector<double>>(&value)) return *reals;
  return std::nullopt;
}

}  // namespace

bool same_value(const Value& a, const Value& b) {
  const auto left = number_of(a), right = number_of(b);
  if (left && right) return *left == *right;
  const auto left_list = numbers_of(a), right_list = numbers_of(b);
  return left_list && right_list ? *left_list == *right_list : a == b;
}

bool SweepPart::holds(const std::vector<Override>& keys) const {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& each) {
    return std::any_of(keys.begin(), keys.end(), [&](const Override& has) {
      return has.key == each.key && std::any_of(each.values.begin(), each.values.end(),
                                                [&](const Value& v) { return same_value(v, has.value); });
    });
  });
}

// A name stands in conditions and as the title of a column.
std::string read_word(const Table& entry, const std::string& owner, const std::vector<std::string>& taken) {
  const std::string name = required_text(entry, "name", owner, "what it is called");
  if (name.empty() || name.find_first_of(" \t\n\",<>=!") != std::string::npos)
    refuse(entry.value_place("name"),
           fmt::format("{}: expected one word, got {}", entry.path("name"), to_string(Value(name))));
  if (std::find(taken.begin(), taken.end(), name) != taken.end())
    refuse(entry.value_place("name"), fmt::format("two entries of {} are called \"{}\"", owner, name));
  return name;
}

std::vector<WrittenKey> written_keys(const Table& table) {
  std::vector<WrittenKey> keys;
  collect(table, "", keys);
  return keys;
}

std::vector<Override> read_overrides(const Table& table) {
  std::vector<Override> overrides;
  for (const WrittenKey& each : written_keys(table)) {
    const auto* value = std::get_if<Value>(each.content);
    if (!value)
      refuse(each.value_place,
             fmt::format("{}: expected one value, got {}", each.key, describe(*each.content)));
    overrides.push_back({each.key, *value, each.place, each.value_place});
  }
  return overrides;
}

std::vector<Override> read_listed(const WrittenKey& key) {
  const auto* entries = std::get_if<std::vector<Table>>(key.content);
  if (!entries)
    refuse(key.value_place,
           fmt::format("{}: expected a list of values, got {}", key.key, describe(*key.content)),
           fmt::format("for one value in every run: {} below [set]", key.key));
  if (entries->empty()) refuse(key.value_place, fmt::format("{}: the list is empty", key.key));
  std::vector<Override> listed;
  for (const Table& entry : *entries) {
    const auto* value = std::get_if<Value>(&entry.content("value"));
    if (!value)
      refuse(entry.place(),
             fmt::format("{}: expected values, got {}", key.key, describe(entry.content("value"))),
             "a sweep sets single values; tables and lists of tables stand in the base");
    listed.push_back({key.key, *value, key.place, entry.place()});
  }
  return listed;
}

SweepPart read_part(const Table& table) {
  SweepPart part{table.place(), {}};
  for (const WrittenKey& each : written_keys(table)) {
    std::vector<Value> values;
    if (const auto* value = std::get_if<Value>(each.content))
      values = {*value};
    else
      for (const Override& listed : read_listed(each)) values.push_back(listed.value);
    part.wanted.push_back({each.key, std::move(values), each.place, each.value_place});
  }
  return part;
}

}  // namespace orrery::engine
