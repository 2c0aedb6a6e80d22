// Inside the config room only: choosing plugins by name, and [[probe]] entries.
#pragma once

#include <string>
#include <vector>

#include "engine/config/document.h"
#include "engine/config/settings.h"

namespace orrery::engine {

/// The parameters of the plugin whose name `table` gives under `name_key`. `reserved` are the keys of `table`
/// that are not the plugin's; throws Error where the plugin declares one of them or two that nest in each
/// other.
std::vector<Field> plugin_fields(const Table& table, const std::string& name_key, const std::string& kind,
                                 const std::string& name, const std::vector<std::string>& reserved,
                                 const ParametersOf& parameters_of);

ProbeChoice resolve_probe(const Table& entry, const ParametersOf& parameters_of);

/// All `entries`; throws UsageError, citing both places, where two have one label.
std::vector<ProbeChoice> resolve_probes(const std::vector<Table>& entries, const ParametersOf& parameters_of);

/// Throws UsageError unless `name`, the value of `key`, can be the name of a folder.
void check_folder_name(const Table& table, const std::string& key, const std::string& name);

}  // namespace orrery::engine
