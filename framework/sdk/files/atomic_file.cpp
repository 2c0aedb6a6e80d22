#include "sdk/files/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <regex>
#include <set>
#include <utility>

namespace orrery {
namespace {

namespace fs = std::filesystem;

std::string cure_of(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return "free some space, or write to another disk";
    case EFBIG:
      return "raise the limit on file sizes (ulimit -f)";
    case EACCES:
    case EPERM:
    case EROFS:
      return "check the permissions of the file and its folder";
    case ENOENT:
    case ENOTDIR:
      return "check the path: one of its folders does not exist";
    default:
      return "";
  }
}

[[noreturn]] void fail(const fs::path& path, const char* action, int code) {
  throw Error(fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(code)), cure_of(code));
}

// 0 or errno. write(2) may write less than asked for; on a full disk the next call says why.
int write_all(int file, const void* from, size_t size) {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t written = ::write(file, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    at += written;
    size -= static_cast<size_t>(written);
  }
  return 0;
}

int sync_file(int file) { return ::fsync(file) == 0 ? 0 : errno; }

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : "."; }

// The leading dot keeps the file out of listings; the process id keeps two writers apart.
std::pair<Descriptor, fs::path> create_temporary(const fs::path& path) {
  static std::atomic<unsigned> count{0};
  for (;;) {
    const fs::path temporary =
        folder_of(path) / fmt::format(".{}.{}-{}.tmp", path.filename().string(), ::getpid(), count++);
    Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file.is_open()) return {std::move(file), temporary};
    if (errno != EEXIST) fail(path, "write here", errno);
  }
}

// The process id in the name of a temporary file; 0 if it is not one.
pid_t maker_of(const fs::path& path) {
  static const std::regex pattern(R"(\..*\.([0-9]{1,9})-[0-9]+\.tmp)");
  const std::string name = path.filename().string();
  std::smatch parts;
  return std::regex_match(name, parts, pattern) ? static_cast<pid_t>(std::stol(parts[1])) : 0;
}

// Removes what killed processes left of earlier writes beside this file, once for each folder: it may be
// large. A process of another machine that shares the disk looks dead from here, so only what is older than
// any write takes.
void remove_leftovers(const fs::path& path) {
  using namespace std::chrono_literals;
  static std::mutex guard;
  static std::set<fs::path> seen;
  {
    const std::lock_guard<std::mutex> held(guard);
    if (!seen.insert(folder_of(path)).second) return;
  }
  std::error_code failure;
  for (fs::directory_iterator at(folder_of(path), failure), end; !failure && at != end;
       at.increment(failure)) {
    const pid_t maker = maker_of(at->path());
    if (maker <= 0 || ::kill(maker, 0) == 0 || errno != ESRCH) continue;
    std::error_code ignored;
    const auto written = fs::last_write_time(at->path(), ignored);
    if (!ignored && fs::file_time_type::clock::now() - written > 10min) fs::remove(at->path(), ignored);
  }
}

// The offset after the last newline in the first `end` bytes of a file.
off_t after_last_newline(const Descriptor& file, off_t end, const fs::path& path) {
  std::array<char, 4096> block;
  while (end > 0) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(block.size()));
    const ssize_t got = ::pread(file.get(), block.data(), static_cast<size_t>(end - begin), begin);
    if (got != end - begin) fail(path, "read", got < 0 ? errno : EIO);
    const size_t newline = std::string_view(block.data(), static_cast<size_t>(got)).rfind('\n');
    if (newline != std::string_view::npos) return begin + static_cast<off_t>(newline) + 1;
    end = begin;
  }
  return 0;
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}
Descriptor::~Descriptor() {
  if (is_open()) ::close(number_);
}

void sync_folder(const fs::path& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const int code = opened.is_open() ? sync_file(opened.get()) : errno;
  // Some network file systems do not support fsync of a folder; there is nothing to wait for then.
  if (code != 0 && code != EINVAL && code != ENOTSUP && code != EACCES)
    fail(folder, "write to the disk", code);
}

void make_folders(const fs::path& path) {
  std::error_code failure;
  if (fs::is_directory(path, failure)) return;
  const fs::path parent = folder_of(path);
  if (parent != path) make_folders(parent);
  if (fs::exists(path, failure))
    throw UsageError(fmt::format("{}: cannot make this folder: a file of this name is there", path.string()),
                     "choose another place");
  fs::create_directory(path, failure);
  if (failure) throw Error(fmt::format("{}: cannot make this folder: {}", path.string(), failure.message()));
  sync_folder(parent);
}

void write_file(const fs::path& path, std::span<const std::byte> bytes) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status))  // a rename would replace the device itself
    throw UsageError(path.string() + ": cannot write here: expected a file, found a folder or device");
  remove_leftovers(path);
  auto [file, temporary] = create_temporary(path);
  int code = write_all(file.get(), bytes.data(), bytes.size());
  if (code == 0) code = sync_file(file.get());
  if (code == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) code = errno;
  if (code != 0) {
    ::unlink(temporary.c_str());
    fail(path, "write", code);
  }
  sync_folder(folder_of(path));
}

void write_file(const fs::path& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span(text)));
}

bool is_temporary(const fs::path& path) {
  static const std::regex pattern(R"(\..*\.[0-9]+-[0-9]+\.tmp)");
  return std::regex_match(path.filename().string(), pattern);
}

std::string read_file(const fs::path& path, uint64_t max_size) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) fail(path, "read", errno);
  // A device may be without end.
  if (!S_ISREG(status.st_mode)) max_size = std::min<uint64_t>(max_size, uint64_t{256} << 20);
  const auto refuse_size = [&](const std::string& size) {
    throw Error(
        fmt::format("{}: cannot read: {}, where at most {} bytes are read", path.string(), size, max_size),
        "check the path: this may be another file, or a device");
  };
  if (static_cast<uint64_t>(status.st_size) > max_size) refuse_size(fmt::format("{} bytes", status.st_size));
  std::string text;
  std::array<char, 1 << 16> block;
  try {
    for (;;) {
      const ssize_t got = ::read(file.get(), block.data(), block.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail(path, "read", errno);
      if (got == 0) return text;
      if (text.size() + static_cast<size_t>(got) > max_size) refuse_size("it goes on and on");
      text.append(block.data(), static_cast<size_t>(got));
    }
  } catch (const std::bad_alloc&) {
    throw Error(fmt::format("{}: it does not fit into memory", path.string()));
  }
}

std::vector<std::string> read_lines(const fs::path& path) {
  const std::string text = read_file(path);
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(text.substr(begin, end - begin));
  return lines;
}

std::string read_last_line(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) fail(path, "read", errno);
  const off_t end = after_last_newline(file, status.st_size, path);
  if (end == 0) return "";
  const off_t begin = after_last_newline(file, end - 1, path);
  std::string line(static_cast<size_t>(end - 1 - begin), '\0');
  const ssize_t got = ::pread(file.get(), line.data(), line.size(), begin);
  if (got != static_cast<ssize_t>(line.size())) fail(path, "read", got < 0 ? errno : EIO);
  return line;
}

void append_bytes(const Descriptor& file, std::string_view bytes, const fs::path& path) {
  struct stat before;
  if (::fstat(file.get(), &before) != 0) fail(path, "append", errno);
  const int code = write_all(file.get(), bytes.data(), bytes.size());
  if (code == 0) return;
  // If even this fails, LineLog cuts off the partial line when it is opened next.
  [[maybe_unused]] const int cut = ::ftruncate(file.get(), before.st_size);
  fail(path, "append", code);
}

LineLog::LineLog(fs::path path) : path_(std::move(path)) {
  open();
  sync_folder(folder_of(path_));
}

void LineLog::open() {
  file_ = Descriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!file_.is_open()) fail(path_, "open", errno);
  struct stat status;
  if (::fstat(file_.get(), &status) != 0) fail(path_, "open", errno);
  if (!S_ISREG(status.st_mode)) throw Error(path_.string() + ": expected a file, found a folder or device");
  const off_t whole = after_last_newline(file_, status.st_size, path_);
  if (whole < status.st_size && ::ftruncate(file_.get(), whole) != 0)
    fail(path_, "cut a half-written line", errno);
  lines_ = 0;
  bytes_ = 0;
  hash_ = Sha256();
}

LogContent LineLog::content() {
  std::array<char, 1 << 16> block;
  for (;;) {
    const ssize_t got = ::pread(file_.get(), block.data(), block.size(), static_cast<off_t>(bytes_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, "read", errno);
    if (got == 0) return {lines_, bytes_, hash_.digest_so_far()};
    const std::string_view read(block.data(), static_cast<size_t>(got));
    hash_.add(read);
    lines_ += std::count(read.begin(), read.end(), '\n');
    bytes_ += read.size();
  }
}

void LineLog::append(std::string_view line) {
  if (line.find('\n') != std::string_view::npos)
    throw Error(path_.string() + ": a line may not hold a newline");
  dirty_ = true;
  append_bytes(file_, std::string(line) + '\n', path_);
}

void LineLog::sync() {
  if (!std::exchange(dirty_, false)) return;
  if (const int code = sync_file(file_.get()); code != 0) fail(path_, "write to the disk", code);
}

void LineLog::drop_lines(const std::function<bool(std::string_view)>& drop) {
  std::vector<std::string> lines = read_lines(path_);
  if (std::erase_if(lines, drop) > 0) replace(lines);
}

void LineLog::edit(const std::function<void(std::vector<std::string>&)>& change) {
  std::vector<std::string> lines = read_lines(path_);
  change(lines);
  replace(lines);
}

void LineLog::replace(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text.append(line).push_back('\n');
  write_file(path_, text);
  open();  // the descriptor still points to the file that was replaced
}

}  // namespace orrery
