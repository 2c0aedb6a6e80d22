// Files of weights as people publish them: of torch.save, safetensors, NumPy. Free of LibTorch.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/import/pickle.h"
#include "sdk/files/safetensors.h"

namespace orrery::engine {

/// Parses a file in memory: one that torch.save wrote (a zip archive of a pickle and storages, or what
/// PyTorch before 1.6 wrote), safetensors (a dict of tensors; names that its metadata give to a tensor are
/// added), .npz (likewise), .npy (one tensor), or a bare pickle without storages. Tensors point into `bytes`
/// or the heap. Throws orrery::Error, opening with `where`, as zip::read, pickle::unpickle,
/// safetensors::parse and parse_npy do; what is something else, or was damaged in a known way, is named, with
/// what to do.
pickle::Heap parse_weights(std::span<const std::byte> bytes, const std::string& where);

/// Such a file, or the .npy files of a folder, read into memory. Owns everything in it.
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
