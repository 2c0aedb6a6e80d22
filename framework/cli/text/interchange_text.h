// What `orrery interchange` prints.
#pragma once

#include <orrery/interchange_variables.h>

#include <string>

namespace orrery::cli {

/// A line for each hypothesis: its interchange accuracy beside those of its nulls.
std::string interchange_text(const TestedSet& tested, size_t width);
/// A line of JSON for each hypothesis; null where there is no such number.
std::string interchange_json(const TestedSet& tested, int64_t step);

}  // namespace orrery::cli
