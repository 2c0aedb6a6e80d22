// Files that are whole or absent, and logs of whole lines: a killed process leaves a readable run behind.
// Does not depend on LibTorch. Nothing here locks: one thread and one process write a file.
#pragma once

#include <orrery/export.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/files/sha256.h"

namespace orrery {

/// Owns a POSIX file descriptor.
class ORRERY_API Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// Replaces `path` by these bytes atomically: temporary file in the same folder, fsync, rename, fsync of the
/// folder. Throws orrery::Error on failure; `path` is then unchanged and the temporary file deleted.
ORRERY_API void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);
ORRERY_API void write_file(const std::filesystem::path& path, std::string_view text);

/// Whether `path` has the name of a temporary file of write_file. Only a killed process leaves one behind;
/// the next to write into the folder removes it, once it is ten minutes old.
ORRERY_API bool is_temporary(const std::filesystem::path& path);

/// Makes a folder and its parents; returns once they are on disk. Throws orrery::Error on failure.
ORRERY_API void make_folders(const std::filesystem::path& path);
/// Returns once the names in a folder are on disk (fsync). Throws orrery::Error on failure.
ORRERY_API void sync_folder(const std::filesystem::path& path);

/// More than any file that is read whole: what is larger is a mistake, or a device without end.
constexpr uint64_t max_file_size = uint64_t{4} << 30;

/// Reads a whole file. Throws orrery::Error if it cannot be read or has more than `max_size` bytes.
ORRERY_API std::string read_file(const std::filesystem::path& path, uint64_t max_size = max_file_size);

/// The lines of a file, without newlines. An unterminated last line, still being written, is left out. Throws
/// orrery::Error if the file cannot be read.
ORRERY_API std::vector<std::string> read_lines(const std::filesystem::path& path);

/// The last whole line of a file, without its newline, or "". Reads only the end of the file.
ORRERY_API std::string read_last_line(const std::filesystem::path& path);

/// Appends `bytes` to an open file, in one write(2) if the system takes them at once. If that fails,
/// truncates the file to its old size and throws orrery::Error, naming `path`.
ORRERY_API void append_bytes(const Descriptor& file, std::string_view bytes,
                             const std::filesystem::path& path);

/// What a log holds: enough to tell later that the lines are still there, and the same.
struct LogContent {
  int64_t lines = 0;
  uint64_t bytes = 0;
  std::string sha256;
};

/// An append-only file of whole lines with one writer. Readers may follow it while it grows.
class ORRERY_API LineLog {
 public:
  /// Opens or creates the file, and cuts off an unterminated last line that a killed writer left.
  explicit LineLog(std::filesystem::path path);

  /// Appends a line in one write(2), unbuffered. `line` must not contain a newline. If that fails, truncates
  /// the file to the lines before and throws orrery::Error.
  void append(std::string_view line);
  /// Returns once every line is on disk (fsync, unless there is nothing new).
  void sync();
  /// Reads only what was appended since the last call.
  LogContent content();
  /// Atomically removes every line for which `drop` is true.
  void drop_lines(const std::function<bool(std::string_view)>& drop);

  /// Atomically replaces the lines by what `change` makes of them.
  void edit(const std::function<void(std::vector<std::string>& lines)>& change);

  const std::filesystem::path& path() const { return path_; }

 private:
  void open();
  void replace(const std::vector<std::string>& lines);
  std::filesystem::path path_;
  Descriptor file_;
  bool dirty_ = false;  // lines were appended since the last sync()
  // The part of the file that content() has read.
  int64_t lines_ = 0;
  uint64_t bytes_ = 0;
  Sha256 hash_;
};

}  // namespace orrery
