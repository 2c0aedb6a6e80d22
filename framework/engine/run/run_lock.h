// One process may write a run while others read it. Free of LibTorch.
#pragma once

#include <filesystem>

#include "sdk/files/atomic_file.h"

namespace orrery::engine {

/// Held until destruction or until the process ends, however it ends.
class RunLock {
 public:
  static constexpr const char* file_name = ".lock";

  /// Holds nothing.
  RunLock() = default;
  /// Throws orrery::Error, naming the process, if another one holds the run in the folder `root`.
  explicit RunLock(const std::filesystem::path& root);

  /// Whether a process holds it, to train the run or to store probe results.
  static bool is_held(const std::filesystem::path& root);

 private:
  Descriptor file_;
};

}  // namespace orrery::engine
