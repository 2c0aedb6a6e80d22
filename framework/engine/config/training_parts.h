// Private to the config room: [train] loss, [[train.update]], [[train.group]], [[train.intervene]],
// [[init.draw]] and
// [[init.transplant]].
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "engine/config/document.h"
#include "engine/config/settings.h"

namespace orrery::engine {

/// The keys of [train] that training_parts reads, beside the fields of TrainSettings.
const std::vector<std::string>& part_keys();

/// The keys of [[train.update]] and [[train.group]] that are the host's.
std::vector<Field> loss_keys();
std::vector<Field> update_keys();
std::vector<Field> group_keys();

std::vector<Field> intervention_keys();
std::vector<Field> draw_keys();
std::vector<Field> transplant_keys();

/// [[train.intervene]] of the table [train].
std::vector<Intervention> read_interventions(const Table& table);
void write_interventions(const std::vector<Intervention>& interventions, nlohmann::ordered_json& object);

/// The keys of [init] that read_init_parts() reads, beside the fields of InitSettings.
const std::vector<std::string>& init_part_keys();
/// [[init.draw]] and [[init.transplant]] of the table [init].
void read_init_parts(const Table& table, InitSettings& init);
void write_init_parts(const InitSettings& init, nlohmann::ordered_json& object);

/// Reads them from the table [train] into `train`. Throws UsageError, with the place, for the first error.
void read_training_parts(const Table& table, const ParametersOf& parameters_of, TrainSettings& train);
/// Writes those that are not at their defaults into the object of [train].
void write_training_parts(const TrainSettings& train, nlohmann::ordered_json& object);

/// "split.rule" becomes the key `rule` of an object `split`, as in TOML.
void put(nlohmann::ordered_json& object, const std::string& dotted, const Value& value);
/// {name_key: name, and the parameters}
nlohmann::ordered_json to_object(const char* name_key, const PluginChoice& choice);

}  // namespace orrery::engine
