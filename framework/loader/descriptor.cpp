#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <string_view>

#include "loader/json.h"
#include "loader/plugin.h"

namespace orrery {
namespace {

constexpr const char* rebuild_hint =
    "rebuild the plugin against this Orrery: cmake -S . -B build && cmake --build build --clean-first";
constexpr const char* macro_hint =
    "let ORRERY_TASK, ORRERY_PROBE or their like (orrery/plugin.h) write the descriptor";

constexpr const char* declaration_hint =
    "correct the declaration in the plugin's source and rebuild it: cmake --build build";

// Only struct_size may be read before it is known to be large enough.
void check_layout(const orrery_plugin_info* info) {
  if (!info) throw Error("orrery_plugin() returned no descriptor", macro_hint);
  if (info->struct_size < sizeof(orrery_plugin_info))
    throw Error(fmt::format("its descriptor has {} bytes, this Orrery needs {}", info->struct_size,
                            sizeof(orrery_plugin_info)),
                rebuild_hint);
  if (info->abi != ORRERY_ABI)
    throw Error(fmt::format("its descriptor is of plugin interface (abi) {}, this Orrery's is {}", info->abi,
                            ORRERY_ABI),
                rebuild_hint);
}

void check_pointers(const orrery_plugin_info& info) {
  const std::pair<const char*, bool> members[] = {
      {"name", info.name},       {"version", info.version},
      {"summary", info.summary}, {"create", info.create},
      {"destroy", info.destroy}, {"parameters", info.parameters || !info.n_parameters}};
  for (const auto& [member, present] : members)
    if (!present) throw Error(fmt::format("its descriptor has no {}", member), macro_hint);
}

// A name becomes the name of a folder in a run, so it must not lead anywhere else.
void check_name(std::string_view name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (name.empty() || !std::all_of(name.begin(), name.end(), allowed) || name[0] < 'a')
    throw Error(fmt::format("\"{}\" cannot be the name of a plugin", name),
                "a name is lower case letters, digits and underscores, and begins with a letter");
}

int32_t number_of(PluginKind kind) {
  switch (kind) {
    case PluginKind::task:
      return ORRERY_KIND_TASK;
    case PluginKind::probe:
      return ORRERY_KIND_PROBE;
    case PluginKind::loss:
      return ORRERY_KIND_LOSS;
    case PluginKind::update:
      return ORRERY_KIND_UPDATE;
    case PluginKind::model:
      return ORRERY_KIND_MODEL;
  }
  return 0;
}

PluginKind kind_of(int32_t kind) {
  for (const PluginKind known : plugin_kinds)
    if (kind == number_of(known)) return known;
  std::vector<std::string> known;
  for (const PluginKind each : plugin_kinds)
    known.push_back(fmt::format("{} ({})", to_string(each), number_of(each)));
  throw Error(fmt::format("it is of kind {}; this Orrery knows {}", kind, fmt::join(known, ", ")),
              "declare it with ORRERY_TASK, ORRERY_PROBE or their like (orrery/plugin.h)");
}

// A value of the type that `type` names, into which to parse the declared default.
Value blank(const std::string& type) {
  const Value all[] = {false,
                       int64_t{},
                       double{},
                       std::string{},
                       std::vector<int64_t>{},
                       std::vector<double>{},
                       std::vector<std::string>{}};
  for (const Value& value : all)
    if (Field{"", value, "", {}, {}, {}}.type() == type) return value;
  throw Error(fmt::format("\"{}\" is not a type this Orrery knows", type), rebuild_hint);
}

void read_bounds(const char* text, Field& field) {
  const auto bounds = nlohmann::json::parse(text ? text : "{}");
  if (bounds.contains("minimum")) field.minimum = bounds["minimum"].get<double>();
  if (bounds.contains("maximum")) field.maximum = bounds["maximum"].get<double>();
  if (bounds.contains("choices")) field.choices = bounds["choices"].get<std::vector<std::string>>();
}

Field read_parameter(const orrery_parameter& parameter) {
  if (!parameter.name || !parameter.type || !parameter.default_value)
    throw Error("it has no name, type or default", macro_hint);
  Field field{parameter.name, blank(parameter.type), parameter.doc ? parameter.doc : "", {}, {}, {}};
  const auto fallback = nlohmann::json::parse(parameter.default_value);
  std::visit([&](auto& value) { fallback.get_to(value); }, field.fallback);
  read_bounds(parameter.bounds, field);
  return field;
}

std::vector<Field> read_parameters(const orrery_plugin_info& info) {
  std::vector<Field> fields;
  for (uint32_t i = 0; i < info.n_parameters; ++i) {
    const char* name = info.parameters[i].name;
    const auto place = fmt::format("parameter {} (\"{}\") cannot be understood: ", i, name ? name : "");
    try {
      fields.push_back(read_parameter(info.parameters[i]));
    } catch (const nlohmann::json::exception& error) {
      throw Error(
          fmt::format("{}its default is {}, its bounds {}: {}", place, info.parameters[i].default_value,
                      info.parameters[i].bounds ? info.parameters[i].bounds : "{}", error.what()),
          macro_hint);
    } catch (const Error& error) {
      throw Error(place + error.what(), error.hint());
    }
  }
  try {
    check_declaration(fields);
  } catch (const Error& error) {
    throw Error(error.what(), error.hint().empty() ? declaration_hint : error.hint());
  }
  return fields;
}

}  // namespace

Plugin read_descriptor(const orrery_plugin_info* info, const std::filesystem::path& file) {
  check_layout(info);
  const PluginKind kind = kind_of(info->kind);
  check_pointers(*info);
  check_name(info->name);
  if (info->fault)
    throw Error(fmt::format("{} {} is declared wrongly: {}", to_string(kind), info->name, info->fault),
                declaration_hint);
  return {kind, info->name, info->version, info->summary, file, read_parameters(*info), info, ""};
}

}  // namespace orrery
