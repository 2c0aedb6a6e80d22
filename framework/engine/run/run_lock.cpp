#include "engine/run/run_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace orrery::engine {
namespace {

// A file system without locks gives another error, which is not a reason to refuse work.
bool refused(const Descriptor& file, int operation) {
  return ::flock(file.get(), operation | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& root) {
  const std::filesystem::path path = root / file_name;
  file_ = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!file_.is_open())
    throw Error(fmt::format("{}: cannot write to this run: {}", root.string(), std::strerror(errno)),
                "check the permissions of the folder");
  // Retry: is_held() in another process takes the lock for a moment.
  int attempts = 20;
  while (refused(file_, LOCK_EX)) {
    if (--attempts > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      continue;
    }
    const std::string holder = read_file(path);
    throw Error(fmt::format("{}: another process{} is writing to this run", root.string(),
                            holder.empty() ? "" : " (" + holder + ")"),
                "wait until it is done, or stop it");
  }
  const std::string holder = fmt::format("process {}", ::getpid());
  // The holder's process id only makes an error clearer, so a failure here does not matter.
  [[maybe_unused]] const bool noted =
      ::ftruncate(file_.get(), 0) == 0 && ::pwrite(file_.get(), holder.data(), holder.size(), 0) > 0;
}

bool RunLock::is_held(const std::filesystem::path& root) {
  const Descriptor file(::open((root / file_name).c_str(), O_RDONLY | O_CLOEXEC));
  return file.is_open() && refused(file, LOCK_SH);
}

}  // namespace orrery::engine
