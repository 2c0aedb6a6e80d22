// Named tensors to and from safetensors files: checkpoints, optimiser state, what probes recorded.
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

/// Writes the tensors, brought to the CPU, as a safetensors file, whole or not at all (run/atomic_file.h).
/// Throws orrery::Error on an undefined, sparse, quantised or complex tensor, a name twice, or a failing
/// disk.
ORRERY_API void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                              const std::map<std::string, std::string>& metadata = {});

/// The bytes of such a file. Throws as write_tensors does, opening with `where`.
ORRERY_API std::vector<std::byte> tensor_bytes(const NamedTensors& tensors, const std::string& where,
                                               const std::map<std::string, std::string>& metadata = {});

struct TensorFile {
  NamedTensors tensors;  ///< on the CPU; widest dtype first, then by name, in a file that write_tensors made
  std::map<std::string, std::string> metadata;
};

/// Throws orrery::Error as safetensors::File does.
ORRERY_API TensorFile read_tensors(const std::filesystem::path& path);

}  // namespace orrery
