// Formats numbers for messages and tables.
#pragma once

#include <cstdint>
#include <string>

namespace orrery::engine {

/// "0:41", "12:05", "3:20:00".
std::string duration(double seconds);
/// "3,830".
std::string thousands(int64_t number);
/// "55.4 MB".
std::string bytes_text(uint64_t bytes);
/// For losses and other numbers that span many orders of magnitude: "4.71", "0.0312", "1.2e-07".
std::string compact(double value);

}  // namespace orrery::engine
