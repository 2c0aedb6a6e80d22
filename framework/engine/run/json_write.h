// Helpers for writing JSON. JSON has neither NaN nor infinities: everywhere in our output they are the
// strings "NaN", "Infinity" and "-Infinity".
#pragma once

#include <orrery/fields.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/run/json_read.h"

namespace orrery::engine {

/// as_real() reads it back.
Json json_real(double value);
/// null for nothing.
Json json_real(const std::optional<double>& value);
Json json_reals(const std::vector<double>& values);
/// A parameter, or a field of a finding.
Json json_value(const Value& value);

/// One line in the style of our logs: a space after commas and colons, reals as from json_number(). Throws
/// orrery::Error if a text is not UTF-8.
std::string json_line(const Json& value);

/// The object with the member "sha256", the hash of all others, which parse_checked_object() compares: a
/// damaged disk may leave valid JSON of other numbers.
Json with_checksum(Json object);

}  // namespace orrery::engine
