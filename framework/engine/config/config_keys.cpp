#include "engine/config/config_keys.h"

#include <orrery/error.h>

#include <algorithm>
#include <map>

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

const std::vector<std::string>& names_of(Sections sections) {
  static const std::vector<std::string> network = {"task", "model", "train", "seeds", "init"},
                                        run = {"task", "model", "train", "seeds", "init", "checkpoints"},
                                        all = {"task", "model",       "train", "seeds",
                                               "init", "checkpoints", "log"};
  return sections == Sections::network ? network : sections == Sections::run ? run : all;
}

void flatten(const json& value, const std::string& path, Lists lists, ConfigKeys& into) {
  if (value.is_object() || (value.is_array() && lists == Lists::by_entry && !value.empty())) {
    for (const auto& [key, entry] : value.items()) flatten(entry, path + "." + key, lists, into);
    return;
  }
  into.emplace_back(path, value);
}

json section_in(const json& config, const std::string& section) {
  const auto found = config.find(section);
  return found != config.end() && found->is_object() ? *found : json::object();
}

template <class S>
std::vector<Field> fields_in() {
  return fields_of<S>().list();
}

std::vector<Field> fields_of_section(const json& config, const std::string& section,
                                     const ParametersOf& parameters_of) {
  if (section == "train") return fields_in<TrainSettings>();
  if (section == "seeds") return fields_in<SeedSettings>();
  if (section == "init") return fields_in<InitSettings>();
  if (section == "checkpoints") return fields_in<CheckpointSettings>();
  if (section == "log") return fields_in<LogSettings>();
  try {
    return parameters_of(section, choice_in(config, section));
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

const std::vector<std::string>& describing_keys() {
  static const std::vector<std::string> keys = {"name", "verify", "gallery", "expect"};
  return keys;
}

bool describes(const std::string& key) {
  return std::find(describing_keys().begin(), describing_keys().end(), key) != describing_keys().end();
}

std::string section_of(const std::string& key) { return key.substr(0, key.find('.')); }

std::string choice_key(const std::string& section) {
  return section == "task" ? "task.name" : section == "model" ? "model.kind" : "";
}

std::string choice_in(const json& config, const std::string& key) {
  const std::string section = section_of(key), choice = choice_key(section);
  if (choice.empty() || key == choice) return "";
  const json parameters = section_in(config, section);
  const auto found = parameters.find(choice.substr(section.size() + 1));
  return found != parameters.end() && found->is_string() ? found->get<std::string>() : "";
}

ConfigKeys config_keys(const json& config, Sections sections, Lists lists) {
  ConfigKeys keys;
  for (const std::string& section : names_of(sections))
    flatten(section_in(config, section), section, lists, keys);
  return keys;
}

ConfigKeys changed_keys(const json& config, const ParametersOf& parameters_of, Sections sections) {
  std::map<std::string, json> defaults;
  for (const std::string& section : names_of(sections))
    for (const Field& field : fields_of_section(config, section, parameters_of))
      defaults[section + "." + field.name] =
          std::visit([](const auto& value) { return json(value); }, field.fallback);
  ConfigKeys keys = config_keys(config, sections);
  std::erase_if(keys, [&](const auto& entry) {
    const auto fallback = defaults.find(entry.first);
    return entry.first == choice_key(section_of(entry.first)) ||
           (fallback != defaults.end() && fallback->second == entry.second);
  });
  return keys;
}

std::string value_text(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace orrery::engine
