// Chooses the checks for a plugin.
#pragma once

#include <optional>
#include <string>

#include "engine/check/check_run.h"
#include "engine/config/settings.h"
#include "loader/registry.h"

namespace orrery::engine {

struct CheckOptions {
  std::vector<std::string> overrides;  ///< of the plugin's parameters: "p=7"
  std::string config;                  ///< for a probe: check it on the task and model of this config
  std::string task;                    ///< for a probe: check it on this task
};

/// Throws orrery::UsageError if the options do not fit the plugin.
CheckSuite make_suite(const Registry& registry, const Plugin& plugin, const CheckOptions& options,
                      const checks::Note& note);

}  // namespace orrery::engine
