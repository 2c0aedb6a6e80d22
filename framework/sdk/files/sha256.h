// SHA-256 (FIPS 180-4), so that `sha256sum` of a checkpoint says whether results are of it. Free of LibTorch.
#pragma once

#include <orrery/export.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace orrery {

class ORRERY_API Sha256 {
 public:
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  /// 64 hexadecimal digits, of everything added; to be asked once.
  std::string digest();

 private:
  void block(const std::byte* bytes);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> rest_;
  uint64_t size_ = 0;
};

ORRERY_API std::string sha256(std::string_view text);
/// Of a whole file. Throws orrery::Error if it cannot be read.
ORRERY_API std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace orrery
