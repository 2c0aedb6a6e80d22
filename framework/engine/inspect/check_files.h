// Reads every file of a run and compares it with its checksum.
#pragma once

#include <orrery/error.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/reporter/reporter.h"

namespace orrery::engine {

/// What a run should have and has not.
struct Missing {
  std::string what, hint;
};

struct CheckedFiles {
  int64_t n_checked = 0;               ///< files and lines of results that match their checksums
  std::vector<std::string> unchecked;  ///< files, relative to the run, some of whose parts have no checksum
  std::vector<Missing> missing;
  std::vector<std::string> gone;  ///< what the run says it has deleted, and what was measured from it: whole,
                                  ///< but not to be made again
  std::vector<Error> damage;
};

/// Throws orrery::UsageError if there is no run, orrery::Error if it has links or devices in it.
CheckedFiles check_files(const std::filesystem::path& run, Reporter& reporter);

}  // namespace orrery::engine
