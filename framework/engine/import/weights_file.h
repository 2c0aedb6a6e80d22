// Files of weights as people publish them: what torch.save writes, and safetensors. Free of LibTorch.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/import/pickle.h"
#include "sdk/files/safetensors.h"

namespace orrery::engine {

/// The objects in a file that lies in memory and that torch.save wrote (PyTorch 1.6 or later: a zip archive
/// of a pickle and storages), or that is a safetensors file (then its root is a dict of tensors). Tensors
/// point into `bytes`. Throws orrery::Error, opening with `where`, as zip::read, pickle::unpickle and
/// safetensors::parse do, and, saying what to do, on other formats.
pickle::Heap parse_weights(std::span<const std::byte> bytes, const std::string& where);

/// Such a file, read into memory; what it holds lives as long as it does.
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

/// What torch.save({name: tensor, ...}) would write: an OrderedDict of contiguous CPU tensors, in this order,
/// that torch.load reads, also with weights_only=True. Throws orrery::Error, opening with `where`.
std::vector<std::byte> serialise_torch(const std::vector<safetensors::TensorView>& tensors,
                                       const std::string& where);

}  // namespace orrery::engine
