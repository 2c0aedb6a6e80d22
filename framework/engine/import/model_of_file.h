// Private to the import room: the config of a run whose network comes from a file.
#pragma once

#include <string>
#include <vector>

#include "engine/config/settings.h"
#include "engine/import/layout.h"
#include "engine/import/networks.h"

namespace orrery::engine {

struct SettingsOfFile {
  Settings settings;
  std::vector<std::string> notes;  ///< what was taken from where, for the user
};

/// The config `path` with `overrides`, its [model] completed from the network: first what its tensors tell,
/// then what a configuration in the file says. Notes what neither tells and so is the config's word. Throws
/// orrery::UsageError, opening with `where` (the file), for what the config says and the file contradicts,
/// all of it in one sentence.
SettingsOfFile settings_of_file(const std::string& path, const std::vector<std::string>& overrides,
                                const ParametersOf& parameters_of, const ModelShapes& shapes,
                                const FoundNetworks& found, const std::string& where);

}  // namespace orrery::engine
