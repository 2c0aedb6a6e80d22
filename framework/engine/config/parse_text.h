// Small pieces of text that a user gave, on the command line or in a config.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::engine {

/// "-3", "40000": an integer in decimal digits and nothing else, or nothing.
std::optional<int64_t> parse_integer(std::string_view text);

/// The parts of `text` between any of the characters `separators`; empty ones are left out.
std::vector<std::string> split_text(std::string_view text, std::string_view separators);

}  // namespace orrery::engine
