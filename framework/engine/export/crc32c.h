// CRC-32C (Castagnoli): the checksum of event files. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string_view>

namespace orrery::engine::tensorboard {

/// As RFC 3720, appendix B.4, defines it.
uint32_t crc32c(std::string_view bytes);

/// As TFRecord stores it: rotated right by 15 bits, plus 0xa282ead8, because the CRC of data that contain
/// their own CRC is weak.
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace orrery::engine::tensorboard
