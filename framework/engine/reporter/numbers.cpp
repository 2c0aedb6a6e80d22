#include "engine/reporter/numbers.h"

#include <fmt/format.h>

#include <cmath>

namespace orrery::engine {

std::string duration(double seconds) {
  const int64_t total = std::llround(seconds);
  if (total >= 3600) return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

std::string thousands(int64_t number) {
  std::string digits = std::to_string(number);
  for (int64_t i = static_cast<int64_t>(digits.size()) - 3; i > (number < 0 ? 1 : 0); i -= 3)
    digits.insert(i, ",");
  return digits;
}

std::string bytes_text(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double size = static_cast<double>(bytes) / 1e3;
  const char* unit = "kB";
  for (const char* larger : {"MB", "GB", "TB"})
    if (size >= 999.5) {
      size /= 1e3;
      unit = larger;
    }
  return fmt::format("{:.3g} {}", size, unit);
}

std::string compact(double value) {
  if (value == 0 || (std::abs(value) >= 1e-3 && std::abs(value) < 1e4)) return fmt::format("{:.3g}", value);
  return fmt::format("{:.1e}", value);
}

}  // namespace orrery::engine
