#include "engine/run/origin.h"

#include <fmt/format.h>

#include "engine/run/json_read.h"

namespace orrery::engine {
namespace {

constexpr const char* where = "origin";

Json question(const Json& origin) {
  Json asked = Json::object();
  for (const char* key : {"probe", "parameters", "reference"})
    if (origin.contains(key)) asked[key] = origin[key];
  return asked;
}

}  // namespace

std::string to_json(const Origin& origin) {
  Json parameters = Json::object();
  for (const auto& [name, value] : origin.parameters)
    parameters[name] = std::visit([](const auto& known) { return Json(known); }, value);
  Json object{{"of", origin.of},
              {"probe", origin.probe},
              {"version", origin.version},
              {"parameters", std::move(parameters)}};
  const auto add = [&](const char* key, const std::string& text) {
    if (!text.empty()) object[key] = text;
  };
  add("reference", origin.reference);
  add("reference_sha256", origin.reference_sha256);
  add("setting", origin.setting);
  return object.dump();
}

bool same_question(const std::string& a, const std::string& b) {
  return question(parse_object(a, where)) == question(parse_object(b, where));
}

std::string question_text(const std::string& origin) {
  const Json asked = question(parse_object(origin, where));
  return fmt::format("{} {}{}", asked.value("probe", "?"), asked.value("parameters", Json::object()).dump(),
                     asked.contains("reference") ? ", reference " + asked["reference"].dump() : "");
}

}  // namespace orrery::engine
