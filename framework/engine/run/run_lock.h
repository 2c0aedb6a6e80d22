// One process may write a run while others read it. Free of LibTorch.
#pragma once

#include <filesystem>

#include "sdk/files/atomic_file.h"

namespace orrery::engine {

/// Held until it goes, or its process does, however that ends.
class RunLock {
 public:
  static constexpr const char* file_name = ".lock";

  /// Holds nothing.
  RunLock() = default;
  /// Throws orrery::Error, naming the process, where another one holds the run in the folder `root`.
  explicit RunLock(const std::filesystem::path& root);

  /// Whether a process holds it: a training, or a probing that stores results.
  static bool is_held(const std::filesystem::path& root);

 private:
  Descriptor file_;
};

}  // namespace orrery::engine
