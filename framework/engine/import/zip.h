// Zip archives as PyTorch writes them: members stored as they are, one after the other. Free of LibTorch.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace orrery::engine::zip {

/// One file of an archive; `data` belongs to somebody else.
struct Member {
  std::string name;
  std::span<const std::byte> data;
};

/// Whether `bytes` begin as an archive does.
bool is_archive(std::span<const std::byte> bytes);

/// The members of an archive that lies in memory, folders left out; their data point into `bytes`. Throws
/// orrery::Error, opening with `where` and naming the member, on an archive that is cut short or damaged
/// (each member is held against its checksum), whose members overlap or are called the same, and on members
/// that are compressed or encrypted: PyTorch writes neither, and nothing here can be larger than the file is.
std::vector<Member> read(std::span<const std::byte> bytes, const std::string& where);

/// The bytes of an archive with these members; the data of each begin at a multiple of 64, as PyTorch has
/// them. Throws orrery::Error, opening with `where`, where it would be 4 GiB or larger.
std::vector<std::byte> write(const std::vector<Member>& members, const std::string& where);

}  // namespace orrery::engine::zip
