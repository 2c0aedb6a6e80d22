// A run made out of a published network.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/reporter/reporter.h"
#include "loader/registry.h"

namespace orrery::engine {

struct ImportRequest {
  std::string file;    ///< a file of torch.save, or safetensors
  std::string config;  ///< the config with the network's [task]; [model] may leave out what shapes tell
  std::string out;     ///< the run's directory; empty: runs/NAME-TIME
  std::string key, steps_key, layout, map;  ///< as the options of `orrery import`; empty: found out
  std::vector<std::string> overrides;       ///< of the config
  int64_t step = -1;                        ///< of the network, where the file does not say; -1: not given
};

/// Converts the networks of the file to checkpoints of a new run, and scores each on the task's data. Returns
/// the run's directory, or nothing where the reporter asked to stop. Whatever fails or stops it, nothing is
/// left behind. Throws orrery::UsageError and orrery::Error, saying what is wrong with the request or the
/// file.
std::optional<std::filesystem::path> import_run(const Registry& registry, const ImportRequest& request,
                                                Reporter& reporter);

}  // namespace orrery::engine
