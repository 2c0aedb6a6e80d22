// What the writers of JSON share. JSON has neither NaN nor infinities: in all that the program writes, they
// are the strings "NaN", "Infinity" and "-Infinity".
#pragma once

#include <orrery/fields.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/run/json_read.h"

namespace orrery::engine {

/// as_real() reads it back.
Json json_real(double value);
/// null where there is none.
Json json_real(const std::optional<double>& value);
Json json_reals(const std::vector<double>& values);
/// A parameter, or a field of a finding.
Json json_value(const Value& value);

/// One line as our logs have it: a space after commas and colons, reals as json_number() writes them. Throws
/// orrery::Error where a text is not UTF-8.
std::string json_line(const Json& value);

}  // namespace orrery::engine
