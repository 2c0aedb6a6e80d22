// One process may write a run while others read it. Free of LibTorch.
#pragma once

#include <orrery/export.h>

#include <filesystem>

#include "run/atomic_file.h"

namespace orrery {

/// Held until it goes, or its process does, however that ends.
class ORRERY_API RunLock {
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

}  // namespace orrery
