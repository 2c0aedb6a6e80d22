#include "sdk/files/safetensors_checksum.h"

#include <fmt/format.h>

#include <cstdint>

#include "sdk/files/safetensors.h"
#include "sdk/files/sha256.h"

namespace orrery::safetensors {

std::string checksum_member(const std::string& digest) {
  return fmt::format(R"("{}":"{}")", checksum_key, digest);
}

std::string checksum_of(std::span<const std::byte> header, size_t place, std::span<const std::byte> data) {
  const uint64_t length = header.size();
  Sha256 hash;
  hash.add(std::as_bytes(std::span(&length, 1)));
  hash.add(header.first(place));
  hash.add(std::string(digest_size, '0'));
  hash.add(header.subspan(place + digest_size));
  hash.add(data);
  return hash.digest();
}

}  // namespace orrery::safetensors
