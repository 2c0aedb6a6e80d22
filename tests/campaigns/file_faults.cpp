// Preloaded into the program (LD_PRELOAD): counts its file operations below FILE_FAULTS_ROOT, and kills it
// just before the one numbered FILE_FAULTS_KILL; or has the disk full from the one numbered FILE_FAULTS_FULL
// on, so that nothing can be created or written. In the folder FILE_FAULTS_TRACE keeps a log of them, and a
// copy of each file as it was when it was fsynced: what a disk would hold after a power cut (campaigns.py
// works it out).
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

template <class Function>
Function* real(const char* name, Function*) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}
// The function of this name that is called without us.
#define REAL(name)                                   \
  (*[] {                                             \
    static auto* const found = real(#name, &::name); \
    return found;                                    \
  }())

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Everything is a function with a static: libraries call us before our constructors have run.
const std::string& root() {
  static const std::string path = setting("FILE_FAULTS_ROOT");
  return path;
}

std::string absolute(const char* path) {
  if (path[0] == '/') return path;
  char folder[PATH_MAX];
  return getcwd(folder, sizeof folder) ? std::string(folder) + "/" + path : path;
}

std::string path_of(int file) {
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  const ssize_t length = readlink(link.c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<size_t>(length)) : "";
}

bool is_watched(const std::string& path) {
  return !root().empty() && path.compare(0, root().size(), root()) == 0 && path.find("/.lock") == path.npos;
}

unsigned long inode_of(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

void log_line(const std::string& line) {
  static const std::string folder = setting("FILE_FAULTS_TRACE");
  if (folder.empty()) return;
  static const int log =
      REAL(open)((folder + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (REAL(write)(log, line.data(), line.size()) < 0) std::abort();
}

void copy_to_trace(int number, const std::string& path) {
  static const std::string folder = setting("FILE_FAULTS_TRACE");
  if (folder.empty()) return;
  const int from = REAL(open)(path.c_str(), O_RDONLY | O_CLOEXEC, 0);
  const int to =
      REAL(open)((folder + "/" + std::to_string(number)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  char block[1 << 16];
  for (ssize_t got; (got = read(from, block, sizeof block)) > 0;)
    if (REAL(write)(to, block, static_cast<size_t>(got)) != got) std::abort();
  close(from);
  close(to);
}

int count = 0;

bool disk_is_full() {
  static const int first = std::atoi(setting("FILE_FAULTS_FULL").c_str());
  return first > 0 && count >= first;
}

// Called before each operation; returns its number.
int begin() {
  static const int last = std::atoi(setting("FILE_FAULTS_KILL").c_str());
  if (++count == last) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
  return count;
}

// Called after it. Paths have no tabs or newlines.
void note(const char* what, unsigned long inode, const std::string& path, const std::string& to = "") {
  const int error = errno;
  log_line(std::to_string(count) + "\t" + what + "\t" + std::to_string(inode) + "\t" + path + "\t" + to +
           "\n");
  errno = error;
}

template <class Call>
int removing(const char* path, Call call) {
  const std::string full = absolute(path);
  const unsigned long inode = inode_of(full);
  if (!is_watched(full) || inode == 0) return call();
  begin();
  const int result = call();
  if (result == 0) note("unlink", inode, full);
  return result;
}

int opening(const char* path, int flags, mode_t mode, int (*call)(const char*, int, ...)) {
  const std::string full = absolute(path);
  const bool creates = (flags & O_CREAT) && is_watched(full) && inode_of(full) == 0;
  if (creates) begin();
  if (creates && disk_is_full()) {
    errno = ENOSPC;
    return -1;
  }
  const int file = call(path, flags, mode);
  if (creates && file >= 0) note("create", inode_of(full), full);
  return file;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return opening(path, flags, mode, &REAL(open));
}

int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return opening(path, flags, mode, &REAL(open64));
}

ssize_t write(int file, const void* bytes, size_t size) {
  if (root().empty()) return REAL(write)(file, bytes, size);
  const std::string path = path_of(file);
  if (!is_watched(path)) return REAL(write)(file, bytes, size);
  begin();
  if (disk_is_full()) {
    errno = ENOSPC;
    return -1;
  }
  const ssize_t written = REAL(write)(file, bytes, size);
  note("write", inode_of(path), path);
  return written;
}

int fsync(int file) {
  const std::string path = path_of(file);
  if (!is_watched(path)) return REAL(fsync)(file);
  const int number = begin();
  struct stat status;
  const bool folder = fstat(file, &status) == 0 && S_ISDIR(status.st_mode);
  if (!folder) copy_to_trace(number, path);
  note(folder ? "fsync_folder" : "fsync", status.st_ino, path);
  return 0;  // nothing is lost when a process is killed, and the real one takes long
}

int ftruncate(int file, off_t size) noexcept {
  const std::string path = path_of(file);
  if (is_watched(path)) {
    begin();
    note("truncate", inode_of(path), path);
  }
  return REAL(ftruncate)(file, size);
}

int rename(const char* from, const char* to) noexcept {
  const std::string full = absolute(from), target = absolute(to);
  if (!is_watched(full) && !is_watched(target)) return REAL(rename)(from, to);
  begin();
  const unsigned long inode = inode_of(full);
  const int result = REAL(rename)(from, to);
  if (result == 0) note("rename", inode, full, target);
  return result;
}

int mkdir(const char* path, mode_t mode) noexcept {
  const std::string full = absolute(path);
  if (!is_watched(full)) return REAL(mkdir)(path, mode);
  begin();
  if (disk_is_full()) {
    errno = ENOSPC;
    return -1;
  }
  const int result = REAL(mkdir)(path, mode);
  if (result == 0) note("mkdir", inode_of(full), full);
  return result;
}

int unlink(const char* path) noexcept {
  return removing(path, [&] { return REAL(unlink)(path); });
}

int remove(const char* path) noexcept {
  return removing(path, [&] { return REAL(remove)(path); });
}

}  // extern "C"
