// A plugin that a config names, and its parameters.
#pragma once

#include <orrery/fields.h>

#include <string>

namespace orrery::engine {

/// A name and all parameters, with defaults filled in.
struct PluginChoice {
  std::string name;
  Values parameters;
  bool operator==(const PluginChoice&) const = default;
};

}  // namespace orrery::engine
