#include <algorithm>

#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

// The offset past the string that begins at `at`, single- or triple-quoted with either kind of quotes.
size_t skip_string(std::string_view text, size_t at) {
  const char quote = text[at];
  const std::string three(3, quote);
  const bool is_long = text.substr(at, 3) == three;
  const std::string_view end = is_long ? std::string_view(three) : std::string_view(three).substr(0, 1);
  at += end.size();
  while (at < text.size() && text.substr(at, end.size()) != end)
    at += text[at] == '\\' && quote == '"' ? 2 : 1;
  at = std::min(at + end.size(), text.size());
  // A triple-quoted string may itself end in one or two quotes.
  for (int extra = 0; is_long && extra < 2 && at < text.size() && text[at] == quote; ++extra) ++at;
  return at;
}

bool may_stand_in_a_key(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.' || c == ' ' || c == '\t';
}

}  // namespace

std::optional<size_t> overlong_key(std::string_view text, int max_parts) {
  int parts = 1;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      at = skip_string(text, at);
      continue;
    }
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (!may_stand_in_a_key(c)) parts = 1;
    if (c == '.' && ++parts > max_parts) return at;
    ++at;
  }
  return std::nullopt;
}

std::string line_and_column(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t newline = before.rfind('\n');
  const std::string_view last = newline == std::string_view::npos ? before : before.substr(newline + 1);
  // Bytes 10xxxxxx continue a character.
  const auto column =
      1 + std::count_if(last.begin(), last.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; });
  return std::to_string(line) + ":" + std::to_string(column);
}

}  // namespace orrery::engine
