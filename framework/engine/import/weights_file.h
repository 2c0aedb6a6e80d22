// Files of weights as people publish them: torch.save and safetensors. Free of LibTorch.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/import/pickle.h"
#include "sdk/files/safetensors.h"

namespace orrery::engine {

/// Parses a file in memory that torch.save wrote (PyTorch 1.6 or later: a zip archive of a pickle and
/// storages), or a safetensors file (whose root is then a dict of tensors). Tensors point into `bytes`.
/// Throws orrery::Error, opening with `where`, as zip::read, pickle::unpickle and safetensors::parse do; for
/// other formats the error says what to do.
pickle::Heap parse_weights(std::span<const std::byte> bytes, const std::string& where);

/// Such a file, read into memory. Owns everything in it.
class WeightsFile {
 public:
  explicit WeightsFile(const std::filesystem::path& path);
  WeightsFile(const WeightsFile&) = delete;

  pickle::Ref root() const { return heap_.root; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::string bytes_;
  pickle::Heap heap_;
};

/// Serialises as torch.save does: an OrderedDict of contiguous CPU tensors, in this order, that torch.load
/// reads, also with weights_only=True. Throws orrery::Error, opening with `where`.
std::vector<std::byte> serialise_torch(const std::vector<safetensors::TensorView>& tensors,
                                       const std::string& where);

}  // namespace orrery::engine
