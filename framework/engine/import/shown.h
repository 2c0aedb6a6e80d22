// Makes text from a file safe for a message. Free of LibTorch.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace orrery::engine {

/// `text` in quotes, truncated if long, with everything but plain ASCII escaped: a file may hold anything,
/// and a message goes to a terminal.
inline std::string shown(const std::string& text) {
  constexpr size_t longest = 120;
  const nlohmann::json cut = text.size() <= longest ? text : text.substr(0, longest) + "...";
  return cut.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace orrery::engine
