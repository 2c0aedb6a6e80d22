// Exports a checkpoint for PyTorch, or as safetensors with the names of its weights.
#pragma once

#include <filesystem>

#include "engine/reporter/reporter.h"
#include "engine/run/run_directory.h"
#include "loader/registry.h"

namespace orrery::engine {

enum class NetworkFormat { pytorch, safetensors };
/// "pytorch", "safetensors".
const char* to_string(NetworkFormat format);

/// Whose names the weights get.
enum class WeightNames { orrery, transformer_lens, nanogpt };

struct NetworkExport {
  CheckpointFile checkpoint;
  std::filesystem::path out;
  NetworkFormat format;
  bool all_outputs = false;  ///< also write the output columns that an import dropped
  WeightNames names = WeightNames::orrery;
};

/// With the names of TransformerLens, the arguments of its HookedTransformerConfig go into a file beside
/// `out`, with the ending .json. Throws orrery::UsageError if a file exists: an export never overwrites; and
/// if the network has what those code bases have not.
void export_network(const Registry& registry, const RunDirectory& run, const NetworkExport& wanted,
                    Reporter& reporter);

}  // namespace orrery::engine
