// The bytes of a file as text, and text from a file made safe for a message. Free of LibTorch.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

namespace orrery::engine {

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// `text` in quotes, truncated if long, with everything but plain ASCII escaped: a file may hold anything,
/// and a message goes to a terminal.
inline std::string shown(const std::string& text) {
  constexpr size_t longest = 120;
  const nlohmann::json cut = text.size() <= longest ? text : text.substr(0, longest) + "...";
  return cut.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace orrery::engine
