// A JSON config as a flat list of keys, for comparing configs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/config/settings.h"

namespace orrery::engine {

/// Dotted as `--set` takes them ("task.split.rule"), in the order of the config.
using ConfigKeys = std::vector<std::pair<std::string, nlohmann::ordered_json>>;

/// Which sections to include. [[probe]] and describing_keys() are never included.
enum class Sections {
  network,  ///< task, model, train, seeds and init, which determine the weights
  run,      ///< also checkpoints
  all       ///< also log
};
/// How to flatten a list: "train.betas" or "train.betas.0", "train.betas.1".
enum class Lists { whole, by_entry };

ConfigKeys config_keys(const nlohmann::ordered_json& config, Sections sections = Sections::run,
                       Lists lists = Lists::whole);

/// Those of config_keys() that are not at their defaults, without the names of the task and the model. If the
/// task or model is unknown, all its keys are included.
ConfigKeys changed_keys(const nlohmann::ordered_json& config, const ParametersOf& parameters_of,
                        Sections sections = Sections::run);

/// The keys at the top of a config that describe a run and do not make it: its name, [verify], [gallery] and
/// [[expect]]. Two runs that differ in these alone are the same run.
const std::vector<std::string>& describing_keys();
bool describes(const std::string& key);

/// "task" of "task.split.rule".
std::string section_of(const std::string& key);
/// The key that names the task or model, and so decides what the section's other keys mean; "" for other
/// sections.
std::string choice_key(const std::string& section);
/// The task or model that `key` is a parameter of; "" for other keys.
std::string choice_in(const nlohmann::ordered_json& config, const std::string& key);

/// A value for display: text without quotes.
std::string value_text(const nlohmann::ordered_json& value);

}  // namespace orrery::engine
