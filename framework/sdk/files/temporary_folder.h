// A folder for the time of one piece of work.
#pragma once

#include <orrery/export.h>

#include <filesystem>
#include <string>

namespace orrery {

/// A new folder under the system's folder for temporary files, deleted with all it holds when the object
/// goes. Throws orrery::Error where none can be made.
class ORRERY_API TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace orrery
