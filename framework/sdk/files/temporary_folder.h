// A folder for the time of one piece of work.
#pragma once

#include <orrery/export.h>

#include <filesystem>

namespace orrery {

/// A new folder under the system's folder for temporary files, deleted with all it holds when the object
/// goes. Throws orrery::Error where none can be made.
class ORRERY_API TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace orrery
