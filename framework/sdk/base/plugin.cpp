#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/plugin.h>

#include <deque>
#include <nlohmann/json.hpp>

namespace orrery {

using nlohmann::json;

namespace {

json to_json(const Value& value) {
  return std::visit([](const auto& v) { return json(v); }, value);
}

std::string bounds_json(const Field& field) {
  json bounds = json::object();
  if (field.minimum) bounds["minimum"] = *field.minimum;
  if (field.maximum) bounds["maximum"] = *field.maximum;
  if (!field.choices.empty()) bounds["choices"] = field.choices;
  return bounds.dump();
}

template <class T>
std::vector<T> list_of(const json& node) {
  return node.get<std::vector<T>>();
}

Value list_from_json(const json& node) {
  const auto all = [&](auto&& is) { return std::all_of(node.begin(), node.end(), is); };
  if (all([](const json& e) { return e.is_number_integer(); })) return list_of<int64_t>(node);
  if (all([](const json& e) { return e.is_number(); })) return list_of<double>(node);
  if (all([](const json& e) { return e.is_string(); })) return list_of<std::string>(node);
  throw Error("expected a list of numbers or of texts, got " + node.dump());
}

Value from_json(const json& node) {
  if (node.is_boolean()) return node.get<bool>();
  if (node.is_number_integer()) return node.get<int64_t>();
  if (node.is_number()) return node.get<double>();
  if (node.is_string()) return node.get<std::string>();
  if (node.is_array()) return list_from_json(node);
  throw Error("expected a boolean, number, text or list, got " + node.dump());
}

}  // namespace

// A deque does not move its entries, so the pointers in `info` and `parameters` stay valid.
struct PluginDeclaration::Strings {
  std::deque<std::string> texts;
  std::vector<orrery_parameter> parameters;
  orrery_plugin_info info{};

  const char* keep(std::string text) { return texts.emplace_back(std::move(text)).c_str(); }
};

PluginDeclaration::PluginDeclaration(int32_t kind, const char* name, const char* version, const char* summary,
                                     const std::vector<Field>& fields, void* (*create)(const char*),
                                     void (*destroy)(void*))
    : strings_(std::make_unique<Strings>()) {
  Strings& s = *strings_;
  const char* fault = nullptr;
  try {
    check_declaration(fields);
  } catch (const std::exception& error) {
    fault = s.keep(error.what());
  }
  for (const Field& field : fields)
    s.parameters.push_back({s.keep(field.name), s.keep(field.type()), s.keep(to_json(field.fallback).dump()),
                            s.keep(bounds_json(field)), s.keep(field.doc)});
  s.info = {.struct_size = sizeof(orrery_plugin_info),
            .abi = ORRERY_ABI,
            .kind = kind,
            .n_parameters = static_cast<uint32_t>(s.parameters.size()),
            .name = name,
            .version = version,
            .summary = summary,
            .fault = fault,
            .parameters = s.parameters.data(),
            .create = create,
            .destroy = destroy};
}

PluginDeclaration::~PluginDeclaration() = default;

const orrery_plugin_info* PluginDeclaration::info() const noexcept { return &strings_->info; }

Values parse_values(const char* text) {
  const json object = json::parse(text ? text : "", nullptr, false);
  if (!object.is_object()) throw Error("parameters are not a JSON object");
  Values values;
  for (const auto& [name, node] : object.items()) values[name] = from_json(node);
  return values;
}

}  // namespace orrery
