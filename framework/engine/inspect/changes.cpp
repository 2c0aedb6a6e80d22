#include "engine/inspect/changes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

namespace orrery::engine {
namespace {

bool is_no_difference(const std::string& key) {
  static const std::set<std::string> known = {choice_key("task"), "train.steps", "train.stop_when",
                                              "train.eval_every"};
  return section_of(key) == "checkpoints" || known.contains(key);
}

// What a config says by leaving it out, where others may say something else.
void add_left_out(ConfigKeys& keys) {
  static const ConfigKeys left_out = {{"train.loss.name", "task"},    {"train.update", Json::array()},
                                      {"train.group", Json::array()}, {"train.intervene", Json::array()},
                                      {"init.draw", Json::array()},   {"init.transplant", Json::array()}};
  for (const auto& [key, value] : left_out) {
    const std::string& wanted = key;
    if (std::none_of(keys.begin(), keys.end(), [&](const auto& entry) { return entry.first == wanted; }))
      keys.emplace_back(key, value);
  }
}

}  // namespace

std::vector<std::vector<Difference>> differences(const std::vector<const Json*>& configs) {
  // The number of configs with each value, by key and by the task or model that the key belongs to.
  std::map<std::pair<std::string, std::string>, std::map<std::string, size_t>> counts;
  std::vector<ConfigKeys> keys;
  for (const Json* config : configs) {
    keys.push_back(config_keys(*config));
    add_left_out(keys.back());
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

std::string keys_text(const ConfigKeys& keys) {
  const auto short_name = [](const std::string& key) {
    const std::string section = section_of(key);
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
