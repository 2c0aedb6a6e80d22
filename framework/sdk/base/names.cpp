#include "sdk/base/names.h"

#include <fmt/format.h>
#include <orrery/recorder.h>

#include <algorithm>

namespace orrery {
namespace {

struct FirstByte {
  unsigned char from, to;                // first bytes of this kind
  size_t length;                         // of the whole character
  unsigned char second_from, second_to;  // the second byte: excludes overlong forms and surrogates
};
constexpr FirstByte first_bytes[] = {
    {0x00, 0x7f, 1, 0, 0},       {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f}};

// The length of the character that `text` begins with; 0 if it is malformed.
size_t character_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (const FirstByte& kind : first_bytes) {
    if (byte(0) < kind.from || byte(0) > kind.to) continue;
    if (text.size() < kind.length) return 0;
    if (kind.length > 1 && (byte(1) < kind.second_from || byte(1) > kind.second_to)) return 0;
    for (size_t i = 2; i < kind.length; ++i)
      if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
    return kind.length;
  }
  return 0;
}

bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

// With what cannot be printed as \x0a.
std::string escaped(const std::string& name) {
  const bool text = is_utf8(name);
  std::string shown;
  for (const unsigned char c : name)
    if (is_control(c) || (!text && c >= 0x80))
      shown += fmt::format("\\x{:02x}", c);
    else
      shown += static_cast<char>(c);
  return shown;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = character_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string name_fault(const std::string& name) {
  if (name.empty()) return "the name is empty";
  if (!is_utf8(name)) return fmt::format("the name \"{}\" is not UTF-8", escaped(name));
  if (std::any_of(name.begin(), name.end(), is_control))
    return fmt::format("the name \"{}\" has control characters", escaped(name));
  if (name.front() == '/' || name.back() == '/' || name.find("//") != std::string::npos)
    return fmt::format("the name \"{}\" has an empty part", name);
  return "";
}

}  // namespace orrery
