#include "engine/import/damage.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "engine/import/shown.h"

namespace orrery::engine {
namespace {

using Bytes = std::span<const std::byte>;

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

// "version https://git-lfs.github.com/spec/v1", "oid sha256:...", "size 912345".
void refuse_lfs_pointer(std::string_view text, const std::string& where) {
  if (!text.starts_with("version https://git-lfs")) return;
  const size_t at = text.find("\nsize ");
  const size_t end = at == text.npos ? at : text.find_first_not_of("0123456789", at + 6);
  const std::string size = at == text.npos ? "" : std::string(text.substr(at + 6, end - at - 6));
  throw UsageError(fmt::format("{}: a Git LFS pointer, not the file itself{}", where,
                               size.empty() ? "" : fmt::format(", which has {} bytes", size)),
                   "get the file: git lfs pull, or the repository's download button");
}

void refuse_web_page(std::string_view text, const std::string& where) {
  std::string start(text.substr(0, 256));
  std::transform(start.begin(), start.end(), start.begin(), [](unsigned char c) { return std::tolower(c); });
  start.erase(0, start.find_first_not_of(" \t\r\n"));
  for (const char* opening : {"<!doctype html", "<html", "<?xml", "<head"})
    if (start.starts_with(opening))
      throw UsageError(
          where + ": a web page, not a file of weights",
          "the download led to a page, perhaps one to sign in; get the file itself (\"raw\", \"download\")");
}

struct Kind {
  std::string_view start;
  size_t at;
  const char *what, *cure;
};
constexpr Kind kinds[] = {
    {"\x1f\x8b", 0, "compressed by gzip", "unpack it: gunzip -k FILE"},
    {"BZh", 0, "compressed by bzip2", "unpack it: bunzip2 -k FILE"},
    {"\xfd"
     "7zXZ",
     0, "compressed by xz", "unpack it: unxz -k FILE"},
    {"\x28\xb5\x2f\xfd", 0, "compressed by zstd", "unpack it: unzstd FILE"},
    {"7z\xbc\xaf", 0, "a 7-Zip archive", "unpack it"},
    {"ustar", 257, "a tar archive", "unpack it: tar -xf FILE"},
    {"\x89HDF\r\n\x1a\n", 0, "an HDF5 file, as Keras writes them",
     "save the arrays with numpy.savez(FILE, **arrays)"},
    {"GGUF", 0, "a GGUF file of llama.cpp", "import the network that it was made from"},
};

}  // namespace

void refuse_other_things(Bytes bytes, const std::string& where) {
  const std::string_view text = text_of(bytes);
  if (text.empty()) throw Error(where + ": an empty file", "copy or download it again");
  refuse_lfs_pointer(text, where);
  refuse_web_page(text, where);
  for (const Kind& kind : kinds)
    if (text.size() > kind.at && text.substr(kind.at).starts_with(kind.start))
      throw UsageError(fmt::format("{}: {}", where, kind.what), kind.cure);
}

void refuse_text(Bytes bytes, const std::string& where) {
  const std::string_view text = text_of(bytes);
  const char* cure = "what is lost cannot be brought back; get the file again, as a binary file";
  // A thousandth of a sound file by chance: three given bytes in a row.
  if (const size_t lost = count(text, "\xef\xbf\xbd"); lost > 8 && lost > text.size() / 1000)
    throw Error(
        fmt::format("{}: it was saved as text, which replaced {} of its bytes (by U+FFFD)", where, lost),
        cure);
  const size_t lines = count(text, "\n");
  if (lines > 4 && lines == count(text, "\r\n"))
    throw Error(
        fmt::format("{}: it was saved as text, which put a carriage return before each of its {} line feeds",
                    where, lines),
        "get the file again, as a binary file (in Git: *.pth binary in .gitattributes)");
}

}  // namespace orrery::engine
