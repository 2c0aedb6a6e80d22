// Checks of the parameters that a plugin declares.
#pragma once

#include <orrery/fields.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/check/check.h"

namespace orrery::engine::checks {

struct DeclaredParameters {
  std::string summary;
  std::vector<Field> fields;
  /// Makes an instance as the program does, and destroys it. Only the plugin itself validates the values.
  std::function<void(const Values&)> make;
  /// Makes an instance and makes its first call: a task's data, a probe's needs.
  std::function<void(const Values&)> use;
};

/// Values outside the declared bounds or choices, each with the name of its parameter.
std::vector<std::pair<std::string, Value>> values_out_of_bounds(const std::vector<Field>& fields);
std::vector<std::pair<std::string, Value>> values_of_another_type(const std::vector<Field>& fields);
/// -1, 0, 1 and the minimum, as far as the declaration allows them.
std::vector<std::pair<std::string, Value>> small_values(const std::vector<Field>& fields);

std::vector<Check> parameter_checks(const DeclaredParameters& declared);
/// Checks that small_values() either work or are refused. Means something only if the given values work,
/// hence `after` the checks of those.
Check small_values_check(const DeclaredParameters& declared, std::vector<std::string> after);

}  // namespace orrery::engine::checks
