// Which checks there are for a plugin.
#pragma once

#include <optional>
#include <string>

#include "engine/check/check_run.h"
#include "engine/config/settings.h"
#include "loader/registry.h"

namespace orrery::engine {

struct CheckOptions {
  std::vector<std::string> overrides;  ///< of the plugin's parameters: "p=7"
  std::string config;                  ///< a probe is checked on its task and model
  std::string task;                    ///< a probe is checked on this task
};

/// Throws orrery::UsageError where the options do not fit the plugin.
CheckSuite make_suite(const Registry& registry, const Plugin& plugin, const CheckOptions& options,
                      const checks::Note& note);

}  // namespace orrery::engine
