// A temporary folder that is deleted with its object.
#pragma once

#include <orrery/export.h>

#include <filesystem>
#include <string>

#include "sdk/files/atomic_file.h"

namespace orrery {

/// A new folder in the system's folder for temporary files; the destructor deletes it with its contents. Also
/// deletes those that killed processes left. Throws orrery::Error if it cannot be created.
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
  Descriptor lock_;  // keeps other processes from deleting it
};

}  // namespace orrery
