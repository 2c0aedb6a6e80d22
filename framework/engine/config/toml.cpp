#include <fmt/format.h>
#include <orrery/error.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>

#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

// Below these keys of a sweep, a list holds values for its key, each of which may be a list itself.
bool lists_values(const std::string& path) {
  for (const char* above : {"grid.", "zip.", "exclude.", "expect.where."})
    if (path.starts_with(above)) return true;
  if (path.starts_with("stage."))
    for (const char* part : {".grid.", ".zip.", ".exclude."})
      if (path.find(part) != std::string::npos) return true;
  return false;
}

// Below these, keys of configs are set: a value that does not fit is an error of its own place, because its
// key is checked elsewhere.
bool sets_keys(const std::string& path) {
  for (const char* above : {"set.", "grid.", "zip.", "point.", "exclude.", "expect.where.", "stage."})
    if (path.starts_with(above)) return true;
  return false;
}

// What TOML has and JSON has not: parameters are kept in run.json.
const char* unsupported(const toml::node& node) {
  if (node.is_date() || node.is_time() || node.is_date_time())
    return "dates and times are not supported; put it in quotes for a text";
  return "infinities and NaN are not supported; write a finite number";
}

class TomlReader {
 public:
  // Every place is `fixed` if it is not empty, else "ORIGIN:LINE:COLUMN". `tells_values`: the places of all
  // values, not of those alone that set keys of a config.
  TomlReader(std::string source, std::string fixed, bool tells_values = false)
      : source_(std::move(source)), fixed_(std::move(fixed)), tells_values_(tells_values) {}

  Table table(const toml::table& from, const std::string& path, int depth) const {
    Table into(place(from.source()), path);
    refuse_depth(depth, into.place(), path);
    std::vector<std::pair<const toml::key*, const toml::node*>> entries;
    for (auto&& [key, node] : from) entries.emplace_back(&key, &node);
    // toml++ sorts keys by name, but errors should come in the order of the file.
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return begin(*a.first, *a.second) < begin(*b.first, *b.second);
    });
    for (const auto& [key, node] : entries) {
      const std::string name(key->str());
      const std::string where = place({begin(*key, *node), {}, {}});
      const std::string key_path = into.path(name);
      into.set(name, where, content(*node, where, key_path, depth + 1),
               tells_values_ || sets_keys(key_path) ? place(node->source()) : "");
    }
    return into;
  }

  Table::Content content(const toml::node& node, const std::string& where, const std::string& path,
                         int depth) const {
    if (const auto* inner = node.as_table()) return table(*inner, path, depth);
    if (const auto* array = node.as_array())
      return lists_values(path) ? values(*array, where, path, depth) : list(*array, where, path, depth);
    return scalar(node, where, path);
  }

 private:
  // A table with a header begins at its "[", everything else at its key.
  static toml::source_position begin(const toml::key& key, const toml::node& node) {
    const toml::node* first = &node;
    if (const auto* array = node.as_array(); array && !array->empty()) first = array->get(0);
    const auto* table = first->as_table();
    return table && !table->is_inline() ? first->source().begin : key.source().begin;
  }

  std::string place(const toml::source_region& region) const {
    if (!fixed_.empty()) return fixed_;
    // Some versions of toml++ give no place to a table that only dotted headers imply.
    const auto line = std::max<toml::source_index>(region.begin.line, 1);
    const auto column = std::max<toml::source_index>(region.begin.column, 1);
    return fmt::format("{}:{}:{}", source_, line, column);
  }

  static void refuse_depth(int depth, const std::string& where, const std::string& path) {
    if (depth > max_depth)
      refuse(where, fmt::format("{}...: nested more than {} deep", path.substr(0, 60), max_depth));
  }

  // A table with the key `value` for each, so that each has its place.
  Table::Content values(const toml::array& array, const std::string& where, const std::string& path,
                        int depth) const {
    std::vector<Table> tables;
    for (const toml::node& entry : array) {
      const std::string here = place(entry.source());
      if (entry.is_table()) refuse(here, fmt::format("{}: expected a value, got a table", path));
      const auto* inner = entry.as_array();
      tables.emplace_back(here, path);
      tables.back().set("value", here,
                        inner ? list(*inner, where, path, depth + 1) : scalar(entry, here, path));
    }
    return tables;
  }

  Table::Content list(const toml::array& array, const std::string& where, const std::string& path,
                      int depth) const {
    refuse_depth(depth, where, path);
    if (!array.empty() && array.is_homogeneous(toml::node_type::table)) {
      std::vector<Table> tables;
      for (const toml::node& entry : array) {
        const toml::table& from = *entry.as_table();
        tables.push_back(
            table(from, entry_path(path, from["label"].value_or(""), from["name"].value_or("")), depth + 1));
      }
      return tables;
    }
    std::vector<Value> entries;
    for (const toml::node& entry : array) {
      if (entry.is_table() || entry.is_array()) refuse_list(where, path);
      entries.push_back(scalar(entry, where, path));
    }
    if (const auto value = make_list(entries)) return *value;
    refuse_list(where, path);
  }

  [[noreturn]] static void refuse_list(const std::string& where, const std::string& path) {
    refuse(where,
           fmt::format("{}: a list holds either numbers, or texts, or tables, and nothing else", path));
  }

  static Value scalar(const toml::node& node, const std::string& where, const std::string& path) {
    if (const auto* flag = node.as_boolean()) return flag->get();
    if (const auto* integer = node.as_integer()) return integer->get();
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* real = node.as_floating_point(); real && std::isfinite(real->get())) return real->get();
    refuse(where, fmt::format("{}: {}", path, unsupported(node)));
  }

  std::string source_, fixed_;
  bool tells_values_;
};

// toml++ opens with "Error while parsing integer"; behind "not valid TOML: ", "in an integer" reads better.
std::string reason(const toml::parse_error& error) {
  std::string text(error.description());
  constexpr std::string_view preamble = "Error while parsing ";
  if (!text.starts_with(preamble)) return text;
  text.erase(0, preamble.size());
  const bool vowel = std::string_view("aeiou").find(text.front()) != std::string_view::npos;
  return (vowel ? "in an " : "in a ") + text;
}

// The single value that all of `text` forms, or null. Parses it both inside a list and on a line of its own:
// no smuggled comment, bracket or line break survives both.
toml::array one_value(const std::string& text) {
  const toml::table line = toml::parse("value = " + text);
  toml::table list = toml::parse("value = [" + text + "]");
  toml::array& values = *list["value"].as_array();
  if (line.size() != 1 || list.size() != 1 || values.size() != 1) return {};
  return std::move(values);
}

// A text needs no quotes after --set, but one that begins like this is a value with a mistake in it.
bool begins_like_a_value(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  return first != std::string::npos && std::string_view("[{\"'").find(text[first]) != std::string_view::npos;
}

// Whether `text` is one line of UTF-8 without control characters, which is what TOML allows in a comment.
bool is_plain_text(const std::string& text) {
  if (text.find('\n') != std::string::npos) return false;
  try {
    [[maybe_unused]] const toml::table nothing = toml::parse("#" + text);
    return true;
  } catch (const toml::parse_error&) {
    return false;
  }
}

}  // namespace

Table read_toml(const std::string& text, const std::string& source) {
  if (const auto offset = overlong_key(text, max_depth))
    refuse(source + ":" + line_and_column(text, *offset),
           fmt::format("a key with more than {} parts", max_depth));
  toml::table parsed;
  try {
    parsed = toml::parse(text);
  } catch (const toml::parse_error& error) {
    const auto begin = error.source().begin;
    refuse(fmt::format("{}:{}:{}", source, begin.line, begin.column), "not valid TOML: " + reason(error));
  }
  const bool is_sweep = parsed.contains("base");
  return TomlReader(source, "", is_sweep).table(parsed, "", 0);
}

Table::Content read_value(const std::string& text, const std::string& place, const std::string& path) {
  if (overlong_key(text, max_depth))
    refuse(place, fmt::format("{}: a key with more than {} parts", path, max_depth));
  toml::array values;
  std::string fault = "more than one value";
  try {
    values = one_value(text);
  } catch (const toml::parse_error& error) {
    fault = reason(error);
  }
  if (!values.empty()) return TomlReader("", place).content(*values.get(0), place, path, 1);
  if (begins_like_a_value(text)) refuse(place, fmt::format("{}: not a TOML value: {}", path, fault));
  if (!is_plain_text(text)) refuse(place, fmt::format("{}: not one line of UTF-8 text", path));
  return Value(text);
}

}  // namespace orrery::engine
