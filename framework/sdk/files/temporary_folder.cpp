#include "sdk/files/temporary_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace orrery {

namespace fs = std::filesystem;

namespace {

constexpr const char* stem = "orrery-temporary-";

// Held while its process lives.
Descriptor locked(const fs::path& folder) {
  Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  return opened.is_open() && ::flock(opened.get(), LOCK_EX | LOCK_NB) == 0 ? std::move(opened) : Descriptor();
}

// A folder that nobody holds belongs to a process that was killed. A young one may be about to be locked.
void remove_abandoned(const fs::path& where) {
  using namespace std::chrono_literals;
  std::error_code failure;
  for (fs::directory_iterator at(where, failure), end; !failure && at != end; at.increment(failure)) {
    struct stat status;
    if (!at->path().filename().string().starts_with(stem) || ::lstat(at->path().c_str(), &status) != 0 ||
        !S_ISDIR(status.st_mode) || status.st_uid != ::geteuid())
      continue;
    std::error_code ignored;
    const bool old = fs::file_time_type::clock::now() - fs::last_write_time(at->path(), ignored) > 1min;
    if (old && !ignored && locked(at->path()).is_open()) fs::remove_all(at->path(), ignored);
  }
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  const fs::path where = fs::temp_directory_path();
  remove_abandoned(where);
  std::string name = (where / (std::string(stem) + "XXXXXX")).string();
  if (!mkdtemp(name.data()))
    throw Error(fmt::format("no temporary folder could be made: {}", std::strerror(errno)));
  path_ = name;
  lock_ = locked(path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace orrery
