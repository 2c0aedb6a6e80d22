// Makes a run from a published network.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/reporter/reporter.h"
#include "loader/registry.h"

namespace orrery::engine {

struct ImportRequest {
  std::string file;    ///< written by torch.save, or safetensors
  std::string config;  ///< the config with the network's [task]; [model] may omit what the shapes tell
  std::string out;     ///< the run's directory; empty: runs/NAME-TIME
  std::string key, steps_key, layout, map;  ///< the options of `orrery import`; empty: detected
  std::vector<std::string> overrides;       ///< of the config
  int64_t step = -1;                        ///< the network's step if the file does not tell; -1: not given
};

/// Converts the networks of the file to checkpoints of a new run, and scores each on the task's data. Returns
/// the run's directory, or nothing if the reporter asked to stop. Leaves nothing behind if it fails or stops.
/// Throws orrery::UsageError and orrery::Error, saying what is wrong with the request or the file.
std::optional<std::filesystem::path> import_run(const Registry& registry, const ImportRequest& request,
                                                Reporter& reporter);

}  // namespace orrery::engine
