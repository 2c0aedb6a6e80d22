// Checks run in another process, so that a plugin that crashes, or never comes back, fails one check only.
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
  /// Loads the plugin; runs in the other process, and again in a new one after a crash. What the checks do is
  /// told to `note`. An orrery::Error that it throws is the failure of a check called "loads".
  std::function<CheckSuite(const checks::Note& note)> make;
  std::string argument;  ///< what the plugin was called on the command line
  int64_t limit = 120;   ///< seconds that one check may take
  std::function<void(const std::string& check, size_t done, size_t total)> progress;
};

/// Runs every check. Throws orrery::UsageError where `make` does: then it is the request that was wrong.
CheckedPlugin run_checks(const CheckRun& run);

}  // namespace orrery::engine
