// Checks of what a plugin declares about its parameters.
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
  /// Makes an instance as the program does, and destroys it. Nobody but the plugin looks at the values.
  std::function<void(const Values&)> make;
  /// Makes an instance, and has it do what it is first asked for: a task's data, a probe's needs.
  std::function<void(const Values&)> use;
};

/// Values that are outside of what is declared, one at a time, the parameter's name with them.
std::vector<std::pair<std::string, Value>> values_out_of_bounds(const std::vector<Field>& fields);
std::vector<std::pair<std::string, Value>> values_of_another_type(const std::vector<Field>& fields);
/// -1, 0, 1 and what is least, where the declaration allows them.
std::vector<std::pair<std::string, Value>> small_values(const std::vector<Field>& fields);

std::vector<Check> parameter_checks(const DeclaredParameters& declared);
/// That small_values() work or are refused, which says something once it is known that what was given works:
/// `after` those checks.
Check small_values_check(const DeclaredParameters& declared, std::vector<std::string> after);

}  // namespace orrery::engine::checks
