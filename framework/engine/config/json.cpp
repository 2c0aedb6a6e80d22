#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

// JSON values carry no line numbers: every place is `source`, and messages name the path.
class JsonReader {
 public:
  explicit JsonReader(std::string source) : source_(std::move(source)) {}

  Table table(const json& from, const std::string& path, int depth) const {
    refuse_depth(depth, path);
    Table into(source_, path);
    for (const auto& [key, node] : from.items())
      into.set(key, source_, content(node, into.path(key), depth + 1));
    return into;
  }

 private:
  void refuse_depth(int depth, const std::string& path) const {
    if (depth > max_depth)
      refuse(source_, fmt::format("{}...: nested more than {} deep", path.substr(0, 60), max_depth));
  }

  Table::Content content(const json& node, const std::string& path, int depth) const {
    if (node.is_object()) return table(node, path, depth);
    if (node.is_array()) return list(node, path, depth);
    return scalar(node, path);
  }

  Table::Content list(const json& array, const std::string& path, int depth) const {
    const auto is_table = [](const json& entry) { return entry.is_object(); };
    if (!array.empty() && std::all_of(array.begin(), array.end(), is_table)) {
      std::vector<Table> tables;
      for (const json& entry : array)
        tables.push_back(
            table(entry, entry_path(path, text(entry, "label"), text(entry, "name")), depth + 1));
      return tables;
    }
    std::vector<Value> entries;
    for (const json& entry : array) {
      if (entry.is_structured()) refuse_list(path);
      entries.push_back(scalar(entry, path));
    }
    if (const auto value = make_list(entries)) return *value;
    refuse_list(path);
  }

  static std::string text(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
  }

  [[noreturn]] void refuse_list(const std::string& path) const {
    refuse(source_,
           fmt::format("{}: a list holds either numbers, or texts, or tables, and nothing else", path));
  }

  Value scalar(const json& node, const std::string& path) const {
    if (node.is_boolean()) return node.get<bool>();
    if (node.is_string()) return node.get<std::string>();
    if (node.is_number_float()) return node.get<double>();
    if (node.is_number_unsigned() && node.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max()))
      refuse(source_, fmt::format("{}: {} is not representable in 64 bits", path, node.dump()));
    if (node.is_number_integer()) return node.get<int64_t>();
    refuse(source_, fmt::format("{}: null is not supported", path));
  }

  std::string source_;
};

// nlohmann/json silently keeps the last of several equal keys.
class DuplicateKeys {
 public:
  explicit DuplicateKeys(const std::string& source) : source_(source) {}

  bool operator()(int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open_.emplace_back();
    if (event == json::parse_event_t::object_end) open_.pop_back();
    if (event == json::parse_event_t::key && !open_.back().insert(parsed.get<std::string>()).second)
      refuse(source_, fmt::format("the key {} is there twice", parsed.dump()));
    return true;
  }

 private:
  std::string source_;
  std::vector<std::set<std::string>> open_;
};

}  // namespace

Table read_json(const std::string& text, const std::string& source) {
  json parsed;
  try {
    parsed = json::parse(text, DuplicateKeys(source));
  } catch (const json::parse_error& error) {
    std::string reason = error.what();
    if (const size_t start = reason.find("syntax error"); start != std::string::npos) reason.erase(0, start);
    refuse(source + ":" + line_and_column(text, error.byte == 0 ? 0 : error.byte - 1),
           "not valid JSON: " + reason);
  } catch (const json::out_of_range& error) {
    refuse(source, "not valid JSON: a number is too large for a real");
  }
  if (!parsed.is_object()) refuse(source, "expected a JSON object");
  return JsonReader(source).table(parsed, "", 0);
}

}  // namespace orrery::engine
