// Files that are whole or absent, and logs of whole lines: what a run leaves on disk survives being killed.
// Free of LibTorch.
#pragma once

#include <orrery/export.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

/// Replaces `path` by these bytes in one step: a temporary file in the same folder, fsync, rename, fsync of
/// the folder. On failure throws orrery::Error; `path` is then as it was and the temporary file is gone.
ORRERY_API void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);
ORRERY_API void write_file(const std::filesystem::path& path, std::string_view text);

/// Whether `path` is named like a temporary file of write_file, which only a killed process leaves behind.
ORRERY_API bool is_temporary(const std::filesystem::path& path);

/// The whole file. Throws orrery::Error if it cannot be read.
ORRERY_API std::string read_file(const std::filesystem::path& path);

/// The lines of a file, without their newlines. A last line without one, still being written, is left out.
ORRERY_API std::vector<std::string> read_lines(const std::filesystem::path& path);

/// The last whole line of a file, without its newline; "" where there is none. Reads the end of the file
/// only.
ORRERY_API std::string read_last_line(const std::filesystem::path& path);

/// Adds `bytes` at the end of an open file, in one write(2) where the system takes them at once. If the disk
/// is full the file is cut back to what it was, and orrery::Error, naming `path`, thrown.
ORRERY_API void append_bytes(const Descriptor& file, std::string_view bytes,
                             const std::filesystem::path& path);

/// An append-only file of whole lines. Readers may follow it while it grows; it has one writer.
class ORRERY_API LineLog {
 public:
  /// Opens or creates the file. What a killed writer left of a last line is cut off.
  explicit LineLog(std::filesystem::path path);

  /// Adds a line in one write(2), so that a reader never waits on a buffer. `line` holds no newline. If the
  /// disk is full the file is cut back to the lines before, and orrery::Error thrown.
  void append(std::string_view line);
  /// Waits until every line is on the disk.
  void sync();
  /// Drops every line for which `drop` holds, in one atomic step.
  void drop_lines(const std::function<bool(std::string_view)>& drop);

  /// Puts `change` of its lines in their place, in one atomic step.
  void edit(const std::function<void(std::vector<std::string>& lines)>& change);

  const std::filesystem::path& path() const { return path_; }

 private:
  void open();
  void replace(const std::vector<std::string>& lines);
  std::filesystem::path path_;
  Descriptor file_;
};

}  // namespace orrery
