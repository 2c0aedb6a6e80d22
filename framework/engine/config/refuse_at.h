// Errors about an entry of a config that are found after it has been read.
#pragma once

#include <orrery/error.h>

#include <string>

namespace orrery::engine {

/// Throws UsageError. `place`: that of the entry, "configs/x.toml:9:1", or "" if no file has it.
[[noreturn]] inline void refuse_at(const std::string& place, const std::string& what,
                                   const std::string& hint) {
  throw UsageError(place.empty() ? what : place + ": " + what, hint);
}

}  // namespace orrery::engine
