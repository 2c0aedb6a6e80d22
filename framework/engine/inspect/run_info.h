// What run.json says of a run. Free of LibTorch: it is read of hundreds of runs at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/run/json_read.h"

namespace orrery::engine {

struct SessionInfo {
  std::string started;  ///< "2026-01-31T12:00:00Z"
  int64_t from = 0;
  std::optional<int64_t> to;  ///< not there while it runs, or where it was killed
  std::optional<double> seconds;
  std::string ended = "running";  ///< or "finished", "condition", "stopped", "diverged", "imported"
  std::string device;
  int64_t threads = 0;
  std::string blas_core;  ///< "" where it was not chosen
};

struct PluginInfo {
  std::string kind, name, version;
};

/// A [[probe]] entry of the config.
struct ConfiguredProbe {
  std::string label, plugin;
  int64_t every = 0;
};

/// What an older version did not write is empty.
struct RunInfo {
  std::string orrery, torch;  ///< versions
  std::vector<PluginInfo> plugins;
  std::optional<int64_t> n_parameters, n_train, n_test;
  Json config;  ///< an object
  std::vector<SessionInfo> sessions;

  std::vector<ConfiguredProbe> probes() const;
  std::string name() const;
  std::string task() const;
  std::string model() const;
  /// train.steps: those asked for; 0 where it is not there.
  int64_t steps() const;
  std::string stop_when() const;
  /// How the last session ended; "running" where there is none.
  std::string ended() const;
};

/// Throws orrery::Error, naming the file and what is wrong with it.
RunInfo read_run_info(const std::filesystem::path& root);

/// `key` of an object where it is text; else "".
std::string text_in(const Json& object, const char* key);

/// When a step was made, in seconds since 1970: its share of the session that made it. 0 where nothing is
/// known.
double wall_time_of(const RunInfo& info, int64_t step);

}  // namespace orrery::engine
