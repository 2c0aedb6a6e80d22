// Private to the config room: choosing plugins by name, and [[probe]] entries.
#pragma once

#include <string>
#include <vector>

#include "engine/config/document.h"
#include "engine/config/settings.h"

namespace orrery::engine {

/// The parameters of the plugin that `table` names under `name_key`. `reserved` are the host's own keys in
/// `table`; throws Error if the plugin declares one of them, or two parameters that nest in each other.
std::vector<Field> plugin_fields(const Table& table, const std::string& name_key, const std::string& kind,
                                 const std::string& name, const std::vector<std::string>& reserved,
                                 const ParametersOf& parameters_of);

/// The keys of [[probe]] that are the host's, the name first.
std::vector<Field> probe_keys();

ProbeChoice resolve_probe(const Table& entry, const ParametersOf& parameters_of);

/// Resolves `entries`; throws UsageError, citing both places, if two share a label.
std::vector<ProbeChoice> resolve_probes(const std::vector<Table>& entries, const ParametersOf& parameters_of);

/// Throws UsageError unless `name`, the value of `key`, can be the name of a folder.
void check_folder_name(const Table& table, const std::string& key, const std::string& name);

}  // namespace orrery::engine
