#include "engine/run/json_line.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "engine/run/json_read.h"
#include "engine/run/json_write.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {

std::string json_number(double value) {
  if (!std::isfinite(value)) return json_real(value).dump();
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  std::string text(buffer.data(), end);
  // Without a point, readers would take 1.0 for an integer and give a column of reals mixed types.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string json_string(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(
        fmt::format("the text {} is not UTF-8, which JSON has to be",
                    nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)));
  }
}

std::string metrics_line(int64_t step, const std::vector<std::pair<std::string, double>>& values) {
  Json line = {{"step", step}};
  for (const auto& [name, value] : values) {
    if (line.contains(name)) throw Error(fmt::format("step {}: the metric \"{}\" comes twice", step, name));
    line[name] = json_real(value);
  }
  return json_line(line);
}

MetricsRow parse_metrics_line(std::string_view line, const std::string& where) {
  const Json object = parse_object(line, where);
  MetricsRow row{integer_of(member(object, "step", where), "step", where), {}};
  for (const auto& [name, value] : object.items())
    if (name != "step") row.values.emplace_back(name, real_of(value, name, where));
  return row;
}

int64_t parse_step(std::string_view line, const std::string& where) {
  return integer_of(member(parse_object(line, where), "step", where), "step", where);
}

namespace {

constexpr const char* checksum_member = "sha256";
constexpr std::string_view checksum_start = ", \"sha256\": \"", checksum_end = "\"}";
constexpr size_t digest_length = 64;

[[noreturn]] void refuse_checksum(const std::string& where, const std::string& what) {
  throw Error(fmt::format("{}: damaged: its content does not match its checksum", where),
              fmt::format("copy it again from where it is whole; if you changed {} on purpose, delete its "
                          "\"sha256\"",
                          what));
}

}  // namespace

std::string with_line_checksum(std::string line) {
  const std::string digest = sha256(line);
  line.pop_back();
  return fmt::format("{}{}{}{}", line, checksum_start, digest, checksum_end);
}

bool check_line(std::string_view line, const std::string& where) {
  constexpr size_t length = checksum_start.size() + digest_length + checksum_end.size();
  if (line.size() < length || !line.ends_with(checksum_end)) return false;
  const std::string_view end = line.substr(line.size() - length);
  if (!end.starts_with(checksum_start)) return false;
  const std::string content = std::string(line.substr(0, line.size() - length)) + "}";
  if (sha256(content) != end.substr(checksum_start.size(), digest_length)) refuse_checksum(where, "the line");
  return true;
}

Json with_checksum(Json object) {
  object.erase(checksum_member);
  object[checksum_member] = sha256(object.dump());
  return object;
}

Json parse_checked_object(std::string_view text, const std::string& where) {
  Json object = parse_object(text, where);
  const auto found = object.find(checksum_member);
  if (found == object.end()) return object;
  const Json stored = *found;
  object.erase(found);
  if (Json(sha256(object.dump())) != stored) refuse_checksum(where, "it");
  return object;
}

Json parse_json(std::string_view text, const std::string& where) {
  const auto shallow = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > max_json_depth)
      throw Error(fmt::format("{}: nested more than {} deep", where, max_json_depth));
    return true;
  };
  try {
    return Json::parse(text, shallow);
  } catch (const Json::parse_error& error) {
    throw Error(fmt::format("{}: not valid JSON near column {}", where, error.byte));
  } catch (const Json::exception&) {
    throw Error(where + ": a number is out of the range of a double");
  }
}

Json parse_object(std::string_view text, const std::string& where) {
  Json value = parse_json(text, where);
  if (!value.is_object())
    throw Error(fmt::format("{}: expected a JSON object, found {}", where, value.type_name()));
  return value;
}

const Json& member(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object()) throw Error(fmt::format("{}: expected an object with \"{}\"", where, key));
  const auto found = object.find(key);
  if (found == object.end()) throw Error(fmt::format("{}: the key \"{}\" is missing", where, key));
  return *found;
}

const Json& object_at(const Json& object, const char* key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_object())
    throw Error(fmt::format("{}: \"{}\": expected an object, found {}", where, key, value.type_name()));
  return value;
}

const Json& list_at(const Json& object, const char* key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_array())
    throw Error(fmt::format("{}: \"{}\": expected a list, found {}", where, key, value.type_name()));
  return value;
}

int64_t integer_of(const Json& value, const std::string& what, const std::string& where) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  if (!fits)
    throw Error(fmt::format("{}: \"{}\": expected an integer, found {}", where, what,
                            value.is_number() ? value.dump() : value.type_name()));
  return value.get<int64_t>();
}

std::string text_of(const Json& value, const std::string& what, const std::string& where) {
  if (!value.is_string())
    throw Error(fmt::format("{}: \"{}\": expected text, found {}", where, what, value.type_name()));
  return value.get<std::string>();
}

double real_of(const Json& value, const std::string& what, const std::string& where) {
  const std::optional<double> real = as_real(value);
  if (!real)
    throw Error(fmt::format("{}: \"{}\": expected a number, \"NaN\", \"Infinity\" or \"-Infinity\", found {}",
                            where, what, value.type_name()));
  return *real;
}

std::optional<double> as_real(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (value == "Infinity") return std::numeric_limits<double>::infinity();
  if (value == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

}  // namespace orrery::engine
