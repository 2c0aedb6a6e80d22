// Parses short texts from the command line or a config.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::engine {

/// An integer in decimal digits, "-3" or "40000"; nothing if `text` is anything else.
std::optional<int64_t> parse_integer(std::string_view text);

/// The non-empty parts of `text` between any of the characters `separators`.
std::vector<std::string> split_text(std::string_view text, std::string_view separators);

}  // namespace orrery::engine
