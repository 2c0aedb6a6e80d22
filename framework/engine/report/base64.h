// Bytes as text (RFC 4648, section 4).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::engine {

std::string to_base64(std::span<const std::byte> bytes);
/// Throws orrery::Error if it is not base64.
std::vector<std::byte> from_base64(std::string_view text);

}  // namespace orrery::engine
