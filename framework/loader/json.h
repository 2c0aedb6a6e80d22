// Parameter values as JSON, which is how they cross the plugin boundary.
#pragma once

#include <orrery/fields.h>

#include <nlohmann/json.hpp>

namespace orrery {

inline nlohmann::ordered_json to_json(const Value& value) {
  return std::visit([](const auto& v) { return nlohmann::ordered_json(v); }, value);
}

}  // namespace orrery
