#include "engine/export/crc32c.h"

#include <array>

namespace orrery::engine::tensorboard {
namespace {

constexpr uint32_t polynomial = 0x82f63b78;  // 0x1edc6f41, bits reversed

constexpr std::array<uint32_t, 256> table = [] {
  std::array<uint32_t, 256> remainders{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = remainder >> 1 ^ (remainder & 1 ? polynomial : 0);
    remainders[byte] = remainder;
  }
  return remainders;
}();

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t remainder = ~uint32_t{0};
  for (const char c : bytes) remainder = remainder >> 8 ^ table[(remainder ^ static_cast<uint8_t>(c)) & 0xff];
  return ~remainder;
}

uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8;
}

}  // namespace orrery::engine::tensorboard
