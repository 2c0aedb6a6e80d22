// Private to the import room: NumPy's .npy and .npz. Free of LibTorch.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/import/pickle.h"
#include "engine/import/zip.h"

namespace orrery::engine {

/// Whether `bytes` begin like a .npy file.
bool is_npy(std::span<const std::byte> bytes);
/// The array in a .npy file (versions 1 to 3 of the format), pointing into `bytes`. Throws orrery::Error,
/// opening with `where`, if it is malformed or not of numbers that are stored little-endian.
pickle::StoredTensor parse_npy(std::span<const std::byte> bytes, const std::string& where);

/// Whether the members of an archive are those of a .npz file.
bool is_npz(const std::vector<zip::Member>& members);
/// A .npz file as a dict of its arrays by name. Throws as parse_npy does.
pickle::Heap parse_npz(const std::vector<zip::Member>& members, const std::string& where);

}  // namespace orrery::engine
