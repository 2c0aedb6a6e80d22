#include "engine/run/provenance.h"

#include <fmt/format.h>

#include "engine/run/json_read.h"

namespace orrery::engine {
namespace {

constexpr const char* where = "origin";

Json question(const Json& provenance) {
  Json asked = Json::object();
  for (const char* key : {"probe", "parameters", "reference"})
    if (provenance.contains(key)) asked[key] = provenance[key];
  return asked;
}

}  // namespace

std::string to_json(const Provenance& provenance) {
  Json parameters = Json::object();
  for (const auto& [name, value] : provenance.parameters)
    parameters[name] = std::visit([](const auto& known) { return Json(known); }, value);
  Json object{{"of", provenance.of},
              {"probe", provenance.probe},
              {"version", provenance.version},
              {"parameters", std::move(parameters)}};
  const auto add = [&](const char* key, const std::string& text) {
    if (!text.empty()) object[key] = text;
  };
  add("reference", provenance.reference);
  add("reference_sha256", provenance.reference_sha256);
  add("setting", provenance.setting);
  return object.dump();
}

bool same_identity(const std::string& a, const std::string& b) {
  return question(parse_object(a, where)) == question(parse_object(b, where));
}

std::string identity_text(const std::string& provenance) {
  const Json asked = question(parse_object(provenance, where));
  return fmt::format("{} {}{}", asked.value("probe", "?"), asked.value("parameters", Json::object()).dump(),
                     asked.contains("reference") ? ", reference " + asked["reference"].dump() : "");
}

}  // namespace orrery::engine
