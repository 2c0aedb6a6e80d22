// Zip archives as PyTorch writes them: uncompressed members, one after the other. Free of LibTorch.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace orrery::engine::zip {

/// One file of an archive. Does not own `data`.
struct Member {
  std::string name;
  std::span<const std::byte> data;
};

/// Whether `bytes` begin like an archive.
bool is_archive(std::span<const std::byte> bytes);

/// The names of the members of an archive, also of one that read() refuses. Throws orrery::Error, opening
/// with `where`, if their list is damaged.
std::vector<std::string> names(std::span<const std::byte> bytes, const std::string& where);

/// The members of an archive in memory, without folders; their data point into `bytes`. Throws orrery::Error,
/// opening with `where` and naming the member, if the archive is truncated or damaged (every checksum is
/// verified), if members overlap or share a name, and if a member is compressed or encrypted: PyTorch writes
/// neither, and so no member can be larger than the file.
std::vector<Member> read(std::span<const std::byte> bytes, const std::string& where);

/// The bytes of an archive with these members; the data of each begin at a multiple of 64, as in PyTorch's
/// archives. Throws orrery::Error, opening with `where`, if it would be 4 GiB or larger.
std::vector<std::byte> write(const std::vector<Member>& members, const std::string& where);

}  // namespace orrery::engine::zip
