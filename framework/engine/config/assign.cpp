#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <functional>

#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

bool is_quoted(const std::string& part) {
  return part.size() >= 2 && (part.front() == '"' || part.front() == '\'') && part.front() == part.back();
}

// "a.\"b.c\".d" as a, b.c, d; nothing if a part is empty.
std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  for (const std::string& piece : split_outside_quotes(path, '.')) {
    std::string part = trimmed(piece);
    if (is_quoted(part)) part = part.substr(1, part.size() - 2);
    if (part.empty()) return {};
    parts.push_back(std::move(part));
  }
  return parts.size() > max_depth ? std::vector<std::string>{} : parts;
}

std::string text_of(const Table& entry, const std::string& key) {
  if (entry.kind(key) != Table::Kind::value) return "";
  const auto* text = std::get_if<std::string>(&std::get<Value>(entry.content(key)));
  return text ? *text : "";
}

// The entry with the label `wanted` (a missing label is the name), or else the one with that name.
Table& pick(std::vector<Table>& entries, const std::string& wanted, const std::string& list,
            const std::string& place) {
  std::vector<Table*> labelled, named;
  std::vector<std::string> known;
  for (Table& entry : entries) {
    const std::string name = text_of(entry, "name");
    const std::string label = entry.has("label") ? text_of(entry, "label") : name;
    if (label == wanted) labelled.push_back(&entry);
    if (name == wanted) named.push_back(&entry);
    if (!label.empty()) known.push_back(label);
  }
  const auto& found = labelled.empty() ? named : labelled;
  if (found.size() == 1) return *found.front();
  const std::string hint = known.empty() ? "" : fmt::format("there are: {}", fmt::join(known, ", "));
  if (found.empty())
    refuse(place,
           fmt::format("no [[{}]] has the label or name \"{}\"{}", list, wanted, did_you_mean(wanted, known)),
           hint);
  refuse(place, fmt::format("{} entries of [[{}]] are called \"{}\"", found.size(), list, wanted),
         "give each a label of its own and use that");
}

class Assignment {
 public:
  // `value` gives the content for the key with this path.
  using Reader = std::function<Table::Content(const std::string& path)>;
  Assignment(std::vector<std::string> path, Reader value, std::string place, std::string value_place = "")
      : path_(std::move(path)),
        value_(std::move(value)),
        place_(std::move(place)),
        value_place_(std::move(value_place)) {}

  // Sets path_[depth...] in `table`, making missing tables on the way.
  void apply(Table& table, size_t depth) const {
    const std::string& key = path_[depth];
    if (depth + 1 == path_.size()) return table.set(key, place_, value_(table.path(key)), value_place_);
    switch (table.kind(key)) {
      case Table::Kind::absent:
        if (depth == 0 && key == "probe")
          refuse(place_, fmt::format("no [[probe]] has the label or name \"{}\"", path_[1]),
                 "the config has no [[probe]]");
        return into(table, key, Table(place_, table.path(key)), place_, depth);
      case Table::Kind::table:
        return into(table, key, table.table(key), table.place(key), depth);
      case Table::Kind::tables:
        return into_entry(table, key, depth);
      case Table::Kind::value:
        refuse(place_,
               fmt::format("{} is {} and has no keys", table.path(key), describe(table.content(key))));
    }
  }

 private:
  void into(Table& table, const std::string& key, Table inner, const std::string& place, size_t depth) const {
    apply(inner, depth + 1);
    table.set(key, place, std::move(inner));
  }

  void into_entry(Table& table, const std::string& key, size_t depth) const {
    std::vector<Table> entries = table.tables(key);
    const std::string list = table.path(key);
    if (depth + 2 == path_.size())
      refuse(place_,
             fmt::format("{}.{} is an entry of a list; name one of its keys", list, path_[depth + 1]));
    apply(pick(entries, path_[depth + 1], list, place_), depth + 2);
    table.set(key, table.place(key), std::move(entries));
  }

  std::vector<std::string> path_;
  Reader value_;
  std::string place_, value_place_;
};

}  // namespace

std::vector<std::string> split_outside_quotes(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  char quote = 0;
  int brackets = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '"' && c == '\\' && i + 1 < text.size()) {
      parts.back() += c;
      parts.back() += text[++i];
      continue;
    }
    if (c == quote)
      quote = 0;
    else if (!quote && (c == '"' || c == '\''))
      quote = c;
    else if (!quote)
      brackets = std::max(0, brackets + (c == '[' || c == '{') - (c == ']' || c == '}'));
    if (c == separator && !quote && brackets == 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::string entry_path(const std::string& path, const std::string& label, const std::string& name) {
  const std::string& called = label.empty() ? name : label;
  return called.empty() ? path : path + "." + called;
}

std::optional<Value> make_list(const std::vector<Value>& entries) {
  const auto all = [&](auto&& is) { return std::all_of(entries.begin(), entries.end(), is); };
  const auto is_integer = [](const Value& v) { return std::holds_alternative<int64_t>(v); };
  const auto is_real = [](const Value& v) { return std::holds_alternative<double>(v); };
  if (all(is_integer)) {
    std::vector<int64_t> list;
    for (const Value& entry : entries) list.push_back(std::get<int64_t>(entry));
    return list;
  }
  if (all([&](const Value& v) { return is_integer(v) || is_real(v); })) {
    std::vector<double> list;
    for (const Value& entry : entries)
      list.push_back(is_real(entry) ? std::get<double>(entry)
                                    : static_cast<double>(std::get<int64_t>(entry)));
    return list;
  }
  if (all([](const Value& v) { return std::holds_alternative<std::string>(v); })) {
    std::vector<std::string> list;
    for (const Value& entry : entries) list.push_back(std::get<std::string>(entry));
    return list;
  }
  return std::nullopt;
}

void assign(Table& root, const std::string& assignment, const std::string& place) {
  const std::string first = split_outside_quotes(assignment, '=').front();
  const std::vector<std::string> path = split_path(first);
  if (first.size() == assignment.size() || path.empty())
    refuse(place, "expected KEY=VALUE, where KEY is a path such as train.steps");
  const std::string value = trimmed(std::string_view(assignment).substr(first.size() + 1));
  Assignment(
      path, [&](const std::string& key) { return read_value(value, place, key); }, place)
      .apply(root, 0);
}

void assign(Table& root, const Override& override) {
  const std::vector<std::string> path = split_path(override.key);
  if (path.empty()) refuse(override.place, fmt::format("\"{}\" is not a key of a config", override.key));
  Assignment(
      path, [&](const std::string&) { return override.value; }, override.place, override.value_place)
      .apply(root, 0);
}

}  // namespace orrery::engine
