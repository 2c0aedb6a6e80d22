#include "overview/changes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <set>

#include "overview/run_info.h"
#include "train/settings.h"

namespace orrery {
namespace {

using Keys = std::vector<std::pair<std::string, Json>>;

constexpr const char* sections[] = {"task", "model", "train", "seeds", "init", "checkpoints"};

void flatten(const Json& value, const std::string& path, Keys& into) {
  if (!value.is_object()) {
    into.emplace_back(path, value);
    return;
  }
  for (const auto& [key, member] : value.items()) flatten(member, path + "." + key, into);
}

Json section_of(const Json& config, const std::string& section) {
  const auto found = config.find(section);
  return found != config.end() && found->is_object() ? *found : Json::object();
}

// The key that says which task or model it is, and so what its other keys mean.
std::string choice_key(const std::string& section) {
  return section == "task" ? "task.name" : section == "model" ? "model.kind" : "";
}

std::string section_name(const std::string& key) { return key.substr(0, key.find('.')); }

template <class S>
std::vector<Field> fields_in() {
  return fields_of<S>().list();
}

std::vector<Field> fields_of_section(const Json& config, const std::string& section,
                                     const ParametersOf& parameters_of) {
  if (section == "train") return fields_in<TrainSettings>();
  if (section == "seeds") return fields_in<SeedSettings>();
  if (section == "init") return fields_in<InitSettings>();
  if (section == "checkpoints") return fields_in<CheckpointSettings>();
  try {
    const std::string choice = choice_key(section).substr(section.size() + 1);
    return parameters_of(section, text_in(section_of(config, section), choice.c_str()));
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

Keys config_keys(const Json& config) {
  Keys keys;
  for (const std::string section : sections) flatten(section_of(config, section), section, keys);
  return keys;
}

Keys changed_keys(const Json& config, const ParametersOf& parameters_of) {
  std::map<std::string, Json> defaults;
  for (const std::string section : sections)
    for (const Field& field : fields_of_section(config, section, parameters_of))
      defaults[section + "." + field.name] =
          std::visit([](const auto& value) { return Json(value); }, field.fallback);
  Keys keys = config_keys(config);
  std::erase_if(keys, [&](const auto& entry) {
    const auto fallback = defaults.find(entry.first);
    return entry.first == choice_key(section_name(entry.first)) ||
           (fallback != defaults.end() && fallback->second == entry.second);
  });
  return keys;
}

std::vector<std::map<std::string, Json>> differences(const std::vector<const Json*>& configs) {
  // By key, and by which task or model it is of.
  std::map<std::pair<std::string, std::string>, std::set<std::string>> values;
  const auto slot = [](const Json& config, const std::string& key) {
    const std::string choice = choice_key(section_name(key));
    if (choice.empty()) return std::pair(key, std::string());
    const std::string section = section_name(choice);
    return std::pair(key, text_in(section_of(config, section), choice.substr(section.size() + 1).c_str()));
  };
  for (const Json* config : configs)
    for (const auto& [key, value] : config_keys(*config)) values[slot(*config, key)].insert(value.dump());
  std::vector<std::map<std::string, Json>> all;
  for (const Json* config : configs) {
    auto& own = all.emplace_back();
    for (const auto& [key, value] : config_keys(*config))
      if (key != choice_key("task") && key != "train.steps" && values[slot(*config, key)].size() > 1)
        own[key] = value;
  }
  return all;
}

std::string value_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string keys_text(const Keys& keys) {
  const auto short_name = [](const std::string& key) {
    const std::string section = section_name(key);
    const bool plain = section == "task" || section == "model" || section == "train";
    return plain ? key.substr(section.size() + 1) : key;
  };
  std::multiset<std::string> names;
  for (const auto& [key, value] : keys) names.insert(short_name(key));
  std::vector<std::string> parts;
  for (const auto& [key, value] : keys) {
    const std::string name = short_name(key), text = value_text(value);
    parts.push_back(fmt::format("{}={}", names.count(name) > 1 ? key : name, text.empty() ? "\"\"" : text));
  }
  return fmt::format("{}", fmt::join(parts, " "));
}

}  // namespace orrery
