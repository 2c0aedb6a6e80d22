// Named tensors to and from safetensors files: checkpoints, optimiser state, results of probes.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Writes tensors, from any device, as a safetensors file with a checksum, whole or not at all
/// (sdk/files/atomic_file.h).
/// Throws orrery::Error for an undefined, sparse, quantised or complex tensor, a repeated name, or a failing
/// disk.
ORRERY_API void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                              const std::map<std::string, std::string>& metadata = {});

/// The bytes of such a file. Throws as write_tensors does, beginning with `where`.
ORRERY_API std::vector<std::byte> tensor_bytes(const NamedTensors& tensors, const std::string& where,
                                               const std::map<std::string, std::string>& metadata = {});

struct TensorFile {
  NamedTensors tensors;  ///< on the CPU, in file order: for write_tensors, widest dtype first, then by name
  std::map<std::string, std::string> metadata;
  bool has_checksum = false;  ///< which then is right; files of earlier versions have none
};

/// Reads all tensors of a file. Throws as safetensors::File does.
ORRERY_API TensorFile read_tensors(const std::filesystem::path& path);

}  // namespace orrery
