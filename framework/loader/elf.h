// Checks from its bytes that a file is a complete shared library, because dlopen maps what the headers
// promise and then dies with SIGBUS if the file is truncated.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace orrery {

/// The bytes of a regular file. Throws orrery::Error, without naming the file, if it is missing, is a folder
/// or a device, or may not be read.
std::string read_bytes(const std::filesystem::path& file);

/// The segments of a shared library that are mapped into memory. Throws orrery::Error, without naming a file,
/// unless `bytes` are a complete ELF shared library of this machine's word size and byte order.
std::vector<std::string_view> loadable_segments(std::string_view bytes);

/// The build id that the linker put into a shared library (its GNU note), or else the SHA-256 of `bytes`, in
/// hex. Libraries built from other sources have other ids. Throws as loadable_segments() does.
std::string build_id(std::string_view bytes);

}  // namespace orrery
