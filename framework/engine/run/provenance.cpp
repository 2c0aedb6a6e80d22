#include "engine/run/provenance.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/run/json_write.h"

namespace orrery::engine {
namespace {

constexpr std::pair<const char*, std::string Provenance::*> texts[] = {
    {"of", &Provenance::of},
    {"probe", &Provenance::probe},
    {"version", &Provenance::version},
    {"reference", &Provenance::reference},
    {"reference_sha256", &Provenance::reference_sha256},
    {"setting", &Provenance::setting},
    {"task_version", &Provenance::task_version},
    {"build", &Provenance::build}};

Json parameters_json(const Values& parameters) {
  Json object = Json::object();
  for (const auto& [name, value] : parameters) object[name] = json_value(value);
  return object;
}

std::optional<Value> list_in(const Json& list) {
  const auto all = [&](auto is) { return std::all_of(list.begin(), list.end(), is); };
  if (all([](const Json& entry) { return entry.is_number_integer(); }))
    return list.get<std::vector<int64_t>>();
  if (all([](const Json& entry) { return entry.is_number(); })) return list.get<std::vector<double>>();
  if (all([](const Json& entry) { return entry.is_string(); })) return list.get<std::vector<std::string>>();
  return std::nullopt;
}

// Parameters are finite, so a text never stands for a number here.
std::optional<Value> value_in(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return value.is_array() ? list_in(value) : std::nullopt;
}

std::optional<Values> parameters_in(const Json& object) {
  if (!object.is_object()) return std::nullopt;
  Values parameters;
  for (const auto& [name, json] : object.items()) {
    auto value = value_in(json);
    if (!value) return std::nullopt;
    parameters.emplace(name, std::move(*value));
  }
  return parameters;
}

bool is_empty_list(const Value& value) {
  return std::visit(
      [](const auto& known) {
        if constexpr (requires { known.front(); } && !std::is_same_v<decltype(known), const std::string&>)
          return known.empty();
        else
          return false;
      },
      value);
}

bool same_parameters(const Values& a, const Values& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first &&
           (x.second == y.second || (is_empty_list(x.second) && is_empty_list(y.second)));
  });
}

}  // namespace

bool Provenance::operator==(const Provenance& other) const {
  const bool same_task =
      task_version.empty() || other.task_version.empty() || task_version == other.task_version;
  return same_task && of == other.of && version == other.version &&
         reference_sha256 == other.reference_sha256 && setting == other.setting &&
         same_identity(*this, other);
}

std::string to_json(const Provenance& provenance) {
  Json object{{"of", provenance.of},
              {"probe", provenance.probe},
              {"version", provenance.version},
              {"parameters", parameters_json(provenance.parameters)}};
  const auto add = [&](const char* key, const std::string& text) {
    if (!text.empty()) object[key] = text;
  };
  add("reference", provenance.reference);
  add("reference_sha256", provenance.reference_sha256);
  add("setting", provenance.setting);
  add("task_version", provenance.task_version);
  add("build", provenance.build);
  return object.dump();
}

std::optional<Provenance> read_provenance(const Json& object) {
  Provenance provenance;
  for (const auto& [key, value] : object.items()) {
    const auto* known = std::find_if(std::begin(texts), std::end(texts),
                                     [&name = key](auto& text) { return text.first == name; });
    if (known != std::end(texts) && value.is_string()) {
      provenance.*known->second = value.get<std::string>();
      continue;
    }
    auto parameters = key == "parameters" ? parameters_in(value) : std::nullopt;
    if (!parameters) return std::nullopt;
    provenance.parameters = std::move(*parameters);
  }
  return provenance;
}

bool same_identity(const Provenance& a, const Provenance& b) {
  if (a.probe != b.probe || a.reference != b.reference) return false;
  if (a.version == b.version) return same_parameters(a.parameters, b.parameters);
  const auto common = [](const Values& values, const Values& others) {
    Values shared;
    for (const auto& [name, value] : values)
      if (others.contains(name)) shared[name] = value;
    return shared;
  };
  return same_parameters(common(a.parameters, b.parameters), common(b.parameters, a.parameters));
}

std::string identity_text(const Provenance& provenance) {
  return fmt::format("{} {}{}", provenance.probe, parameters_text(provenance),
                     provenance.reference.empty() ? "" : ", reference \"" + provenance.reference + "\"");
}

std::string parameters_text(const Provenance& provenance) {
  return parameters_json(provenance.parameters).dump();
}

}  // namespace orrery::engine
