#include "loader/elf.h"

#include <fmt/format.h>
#include <link.h>
#include <orrery/error.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "sdk/files/sha256.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;
using Header = ElfW(Ehdr);
using Segment = ElfW(Phdr);
using Section = ElfW(Shdr);

constexpr const char* build_hint = "a plugin is a shared library made by orrery_add_plugin() in CMake";

[[noreturn]] void truncated(size_t size, size_t needed) {
  throw Error(fmt::format("truncated: its headers describe {} bytes or more, the file has {}", needed, size),
              "copy the plugin again, or rebuild it: cmake --build build");
}

// memcpy, because a header may lie at an unaligned offset.
template <class T>
T read_at(std::string_view bytes, size_t offset) {
  if (offset > bytes.size() || sizeof(T) > bytes.size() - offset) truncated(bytes.size(), offset + sizeof(T));
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

std::string_view part(std::string_view bytes, size_t offset, size_t length) {
  if (offset > bytes.size() || length > bytes.size() - offset) truncated(bytes.size(), offset + length);
  return bytes.substr(offset, length);
}

Header header_of(std::string_view bytes) {
  if (bytes.empty()) throw Error("an empty file, not a shared library", build_hint);
  if (bytes.substr(0, SELFMAG) != std::string_view(ELFMAG, SELFMAG))
    throw Error("not a shared library (it does not begin as an ELF file)", build_hint);
  const auto header = read_at<Header>(bytes, 0);
  constexpr int native_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
  constexpr int native_order = std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  if (header.e_ident[EI_CLASS] != native_class || header.e_ident[EI_DATA] != native_order)
    throw Error("a library for another kind of machine", "rebuild the plugin on this machine");
  if (header.e_type != ET_DYN) throw Error("an ELF file, but not a shared library", build_hint);
  if (header.e_phentsize != sizeof(Segment) || (header.e_shnum && header.e_shentsize != sizeof(Section)))
    throw Error("a damaged ELF file (its tables have entries of an unknown size)",
                "rebuild the plugin: cmake --build build");
  return header;
}

void check_file_type(const fs::path& file) {
  std::error_code ignored, failed;
  const bool link = fs::is_symlink(fs::symlink_status(file, ignored));
  const fs::file_status status = fs::status(file, failed);
  if (status.type() == fs::file_type::not_found) {
    if (link)
      throw UsageError(fmt::format("a symbolic link to {}, which does not exist",
                                   fs::read_symlink(file, ignored).string()),
                       "make the link point to a plugin, or remove it");
    throw UsageError("no such file", "check the path");
  }
  if (status.type() == fs::file_type::none)
    throw UsageError(fmt::format("cannot be inspected: {}", failed.message()), "check the path");
  if (fs::is_directory(status))
    throw UsageError("a folder, not a shared library",
                     "give the .so file itself, or put the folder on ORRERY_PLUGIN_PATH");
  // Opening a named pipe would wait for a writer.
  if (!fs::is_regular_file(status)) throw UsageError("neither a file nor a link to one", build_hint);
}

// The build id among the notes of one segment, in hex; "" if it is not there.
std::string gnu_build_id(std::string_view notes) {
  constexpr size_t alignment = 4;
  const auto padded = [](size_t size) { return (size + alignment - 1) / alignment * alignment; };
  for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= notes.size();) {
    const auto note = read_at<ElfW(Nhdr)>(notes, at);
    at += sizeof note;
    const std::string_view name = part(notes, at, note.n_namesz);
    at += padded(note.n_namesz);
    const std::string_view content = part(notes, at, note.n_descsz);
    at += padded(note.n_descsz);
    if (note.n_type != NT_GNU_BUILD_ID || name != std::string_view("GNU\0", 4)) continue;
    std::string hex;
    for (const unsigned char byte : content) hex += fmt::format("{:02x}", byte);
    return hex;
  }
  return "";
}

}  // namespace

std::string read_bytes(const fs::path& file) {
  check_file_type(file);
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    const int why = errno;
    throw Error(fmt::format("cannot be read: {}", std::strerror(why)),
                why == EACCES ? fmt::format("chmod a+r {}", file.string()) : "check the file");
  }
  std::ostringstream bytes;
  bytes << stream.rdbuf();
  return std::move(bytes).str();
}

std::vector<std::string_view> loadable_segments(std::string_view bytes) {
  const Header header = header_of(bytes);
  // Linkers put the section table last, so even a slight truncation loses it.
  for (size_t i = 0; header.e_shoff && i < header.e_shnum; ++i) {
    const auto section = read_at<Section>(bytes, header.e_shoff + i * sizeof(Section));
    if (section.sh_type != SHT_NOBITS) part(bytes, section.sh_offset, section.sh_size);
  }
  std::vector<std::string_view> loadable;
  for (size_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = read_at<Segment>(bytes, header.e_phoff + i * sizeof(Segment));
    const std::string_view content = part(bytes, segment.p_offset, segment.p_filesz);
    if (segment.p_type == PT_INTERP) throw Error("a program, not a shared library", build_hint);
    if (segment.p_type == PT_LOAD) loadable.push_back(content);
  }
  return loadable;
}

std::string build_id(std::string_view bytes) {
  const Header header = header_of(bytes);
  for (size_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = read_at<Segment>(bytes, header.e_phoff + i * sizeof(Segment));
    if (segment.p_type != PT_NOTE) continue;
    const auto id = gnu_build_id(part(bytes, segment.p_offset, segment.p_filesz));
    if (!id.empty()) return id;
  }
  Sha256 hash;
  hash.add(bytes);
  return hash.digest();
}

}  // namespace orrery
