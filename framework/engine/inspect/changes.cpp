#include "engine/inspect/changes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <map>
#include <set>

#include "engine/config/train_settings.h"
#include "engine/run/run_json.h"

namespace orrery::engine {
namespace {

constexpr const char* sections[] = {"task", "model", "train", "seeds", "init", "checkpoints"};

void flatten(const Json& value, const std::string& path, ConfigKeys& into) {
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

// The task or model that the key is a parameter of; "" for other keys.
std::string choice_in(const Json& config, const std::string& key) {
  const std::string section = section_name(key), choice = choice_key(section);
  return choice.empty() || key == choice
             ? ""
             : text_in(section_of(config, section), choice.c_str() + section.size() + 1);
}

bool is_no_difference(const std::string& key) {
  static const std::set<std::string> known = {choice_key("task"), "train.steps", "train.stop_when",
                                              "train.eval_every"};
  return section_name(key) == "checkpoints" || known.contains(key);
}

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
    return parameters_of(section, choice_in(config, section));
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

ConfigKeys config_keys(const Json& config) {
  ConfigKeys keys;
  for (const std::string section : sections) flatten(section_of(config, section), section, keys);
  return keys;
}

ConfigKeys changed_keys(const Json& config, const ParametersOf& parameters_of) {
  std::map<std::string, Json> defaults;
  for (const std::string section : sections)
    for (const Field& field : fields_of_section(config, section, parameters_of))
      defaults[section + "." + field.name] =
          std::visit([](const auto& value) { return Json(value); }, field.fallback);
  ConfigKeys keys = config_keys(config);
  std::erase_if(keys, [&](const auto& entry) {
    const auto fallback = defaults.find(entry.first);
    return entry.first == choice_key(section_name(entry.first)) ||
           (fallback != defaults.end() && fallback->second == entry.second);
  });
  return keys;
}

std::vector<std::vector<Difference>> differences(const std::vector<const Json*>& configs) {
  // How many have which value, by key and by which task or model it is of.
  std::map<std::pair<std::string, std::string>, std::map<std::string, size_t>> counts;
  std::vector<ConfigKeys> keys;
  for (const Json* config : configs) {
    keys.push_back(config_keys(*config));
    std::erase_if(keys.back(), [](const auto& entry) { return is_no_difference(entry.first); });
    for (const auto& [key, value] : keys.back()) ++counts[{key, choice_in(*config, key)}][value.dump()];
  }
  std::vector<std::vector<Difference>> all(configs.size());
  for (size_t i = 0; i < configs.size(); ++i)
    for (const auto& [key, value] : keys[i]) {
      const auto& by_value = counts[{key, choice_in(*configs[i], key)}];
      size_t total = 0;
      for (const auto& [text, count] : by_value) total += count;
      if (by_value.size() > 1) all[i].push_back({key, value, 2 * by_value.at(value.dump()) > total});
    }
  return all;
}

std::string value_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string keys_text(const ConfigKeys& keys) {
  const auto short_name = [](const std::string& key) {
    const std::string section = section_name(key);
    if (key == choice_key(section)) return section;
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

}  // namespace orrery::engine
