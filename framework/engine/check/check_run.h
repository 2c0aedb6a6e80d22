// Runs checks in a child process, so that a plugin that crashes or hangs fails one check only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/check/check.h"

namespace orrery::engine {

/// The checks of one plugin.
struct CheckSuite {
  std::string kind, name, version, file;
  std::vector<checks::Check> checks;
};

struct CheckedPlugin {
  std::string kind, name, version, file;  ///< as far as it could be loaded
  std::vector<std::pair<std::string, checks::Result>> results;

  bool passed() const;
  int64_t count(checks::Verdict verdict) const;
};

struct CheckRun {
  /// Loads the plugin; runs in the child, and again in a new child after a crash, so it must make the same
  /// checks in the same order each time. The checks report to `note` what they do. An orrery::Error from it
  /// is the failure of a check called "loads".
  std::function<CheckSuite(const checks::Note& note)> make;
  std::string argument;  ///< how the command line names the plugin
  int64_t limit = 120;   ///< time limit of one check, in seconds
  std::function<void(const std::string& check, size_t done, size_t total)> progress;
};

/// Runs every check. Throws orrery::UsageError if `make` does, because then the request was wrong. Forks:
/// this process must have one thread.
CheckedPlugin run_checks(const CheckRun& run);

}  // namespace orrery::engine
