// A plugin that passed every check, in the form that the rest of the host uses.
#pragma once

#include <orrery/abi/abi.h>
#include <orrery/fields.h>

#include <filesystem>
#include <string>
#include <vector>

#include "loader/guard.h"

namespace orrery {

struct Plugin {
  PluginKind kind;
  std::string name, version, summary;
  std::filesystem::path file;
  std::vector<Field> parameters;
  const orrery_plugin_info* info = nullptr;  ///< lies in the library, which is never unloaded
  std::string build = {};                    ///< build_id() of the file (elf.h)

  Who who() const { return {kind, name, version}; }
};

/// Builds a Plugin from a plugin's descriptor, which is the second check on it. Throws orrery::Error, without
/// naming the file, if the host cannot use the descriptor.
Plugin read_descriptor(const orrery_plugin_info* info, const std::filesystem::path& file);

}  // namespace orrery
