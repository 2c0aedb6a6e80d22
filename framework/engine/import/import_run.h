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
  /// Files of torch.save, safetensors or NumPy, or folders of them; of several each is one checkpoint.
  std::vector<std::string> files;
  std::string config;  ///< the config with the network's [task]; [model] may omit what the file tells
  std::string out;     ///< the run's directory; empty: runs/NAME-TIME
  std::string key, steps_key, layout, map;  ///< the options of `orrery import`; empty: detected
  std::vector<std::string> overrides;       ///< of the config
  int64_t step = -1;                        ///< the network's step if the file does not tell; -1: not given
  /// "test/loss=0.0072": metrics of the last network that must come out, to the digits given or to 1e-5 of
  /// the value, whichever is more.
  std::vector<std::string> expectations;
};

/// Converts the networks of the file to checkpoints of a new run, and scores each on the task's data. Returns
/// the run's directory, or nothing if the reporter asked to stop. Leaves nothing behind if it fails or stops.
/// Throws orrery::UsageError and orrery::Error, saying what is wrong with the request or the file.
std::optional<std::filesystem::path> import_run(const Registry& registry, const ImportRequest& request,
                                                Reporter& reporter);

}  // namespace orrery::engine
