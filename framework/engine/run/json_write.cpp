#include "engine/run/json_write.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "engine/run/json_line.h"

namespace orrery::engine {
namespace {

// The other types of a Value convert directly.
template <class T>
Json json_of(const T& value) {
  return value;
}
Json json_of(double value) { return json_real(value); }
Json json_of(const std::vector<double>& values) { return json_reals(values); }

}  // namespace

Json json_real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

Json json_real(const std::optional<double>& value) { return value ? json_real(*value) : Json(nullptr); }

Json json_reals(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(json_real(value));
  return list;
}

Json json_value(const Value& value) {
  return std::visit([](const auto& known) { return json_of(known); }, value);
}

// By hand, because nlohmann/json writes no spaces, and some doubles longer than necessary.
std::string json_line(const Json& value) {
  if (value.is_number_float()) return json_number(value.get<double>());
  if (value.is_string()) return json_string(value.get_ref<const std::string&>());
  if (!value.is_structured()) return value.dump();
  std::vector<std::string> parts;
  for (const auto& [key, member] : value.items())
    parts.push_back((value.is_object() ? json_string(key) + ": " : "") + json_line(member));
  const std::string inside = fmt::format("{}", fmt::join(parts, ", "));
  return value.is_object() ? "{" + inside + "}" : "[" + inside + "]";
}

}  // namespace orrery::engine
