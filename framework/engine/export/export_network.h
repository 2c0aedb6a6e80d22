// Exports a checkpoint for PyTorch, or as safetensors with the names of its weights.
#pragma once

#include <filesystem>

#include "engine/reporter/reporter.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

enum class NetworkFormat { pytorch, safetensors };
/// "pytorch", "safetensors".
const char* to_string(NetworkFormat format);

struct NetworkExport {
  CheckpointFile checkpoint;
  std::filesystem::path out;
  NetworkFormat format;
  bool all_outputs = false;  ///< also write the output columns that an import dropped
};

/// Throws orrery::UsageError if `out` exists: an export never overwrites.
void export_network(const RunDirectory& run, const NetworkExport& wanted, Reporter& reporter);

}  // namespace orrery::engine
