// The checksum in the header of a safetensors file.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace orrery::safetensors {

constexpr size_t digest_size = 64;  // in hexadecimal digits

/// The member of the header's metadata.
std::string checksum_member(const std::string& digest);
/// The checksum of a file whose header holds the digest at `place`.
std::string checksum_of(std::span<const std::byte> header, size_t place, std::span<const std::byte> data);

}  // namespace orrery::safetensors
