#include "cli/text/shown.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <random>
#include <string_view>

namespace orrery::cli {
namespace {

// The length of the UTF-8 character that `text` begins with; 0 if it begins with none (also not an overlong
// one).
size_t character_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) < 0x80 ? 1 : byte(0) < 0xc2 ? 0 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
  if (length == 0 || byte(0) > 0xf4 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if ((byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90)) return 0;
  return length;
}

bool is_control(unsigned char c) { return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f; }

}  // namespace

const std::string& style_mark() {
  static const std::string mark = [] {
    std::random_device draw;
    return fmt::format("\x01{:08x}{:08x}", draw(), draw());
  }();
  return mark;
}

std::string shown(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = std::string_view(text).substr(at);
    const auto first = static_cast<unsigned char>(rest[0]);
    const size_t length = character_length(rest);
    if (rest.starts_with(style_mark())) {
      out += "\033[";
      at += style_mark().size();
    } else if (length == 0 || is_control(first)) {
      out += fmt::format("\\x{:02x}", first);
      ++at;
    } else if (first == 0xc2 && static_cast<unsigned char>(rest[1]) < 0xa0) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(rest[1]));
      at += 2;
    } else {
      out += rest.substr(0, length);
      at += length;
    }
  }
  return out;
}

std::string shortened(const std::string& text, size_t most) {
  if (text.size() <= most) return text;
  size_t end = most;
  while (end > 0 && (text[end] & 0xc0) == 0x80) --end;
  return fmt::format("{}... ({} bytes in all)", text.substr(0, end), text.size());
}

int ShownOutput::overflow(int c) {
  if (c != traits_type::eof()) held_ += static_cast<char>(c);
  return failure_ ? traits_type::eof() : traits_type::not_eof(c);
}

std::streamsize ShownOutput::xsputn(const char* text, std::streamsize size) {
  held_.append(text, static_cast<size_t>(size));
  // Megabytes are not held until the end; a line is never cut, nor a character with it.
  constexpr size_t most = 1 << 16;
  if (held_.size() > most && held_.back() == '\n') sync();
  return failure_ ? 0 : size;
}

int ShownOutput::sync() {
  const std::string text = shown(held_);
  held_.clear();
  for (size_t at = 0; at < text.size() && !failure_;) {
    const ssize_t written = ::write(file_, text.data() + at, text.size() - at);
    if (written >= 0)
      at += static_cast<size_t>(written);
    else if (errno != EINTR)
      failure_ = errno;
  }
  return failure_ ? -1 : 0;
}

int ShownOutput::finish() {
  sync();
  return failure_;
}

}  // namespace orrery::cli
