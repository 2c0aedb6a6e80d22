// Source files as text, for the tests that check the tree against its own rules.
#pragma once

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::test {

inline std::string read_text(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// The end of the string or character literal that begins at `at` (one past its closing quote); `at` if none
/// begins there.
inline size_t literal_end(std::string_view text, size_t at) {
  if (text[at] != '"' && text[at] != '\'') return at;
  const auto hex = [&](size_t i) {
    return i < text.size() && std::isxdigit(static_cast<unsigned char>(text[i]));
  };
  if (text[at] == '\'' && at > 0 && hex(at - 1) && hex(at + 1)) return at;  // 1'000 is a number
  if (text[at] == '"' && at > 0 && text[at - 1] == 'R') {
    const size_t open = text.find('(', at);
    const std::string close = ")" + std::string(text.substr(at + 1, open - at - 1)) + "\"";
    const size_t end = text.find(close, open);
    return end == std::string_view::npos ? text.size() : end + close.size();
  }
  size_t end = at + 1;
  while (end < text.size() && text[end] != text[at]) end += text[end] == '\\' ? 2 : 1;
  return std::min(end + 1, text.size());
}

/// The end of the comment that begins at `at` (without a final newline); `at` if none begins there.
inline size_t comment_end(std::string_view text, size_t at) {
  const std::string_view two = text.substr(at, 2);
  if (two != "//" && two != "/*") return at;
  const size_t end = two == "//" ? text.find('\n', at) : text.find("*/", at + 2);
  if (end == std::string_view::npos) return text.size();
  return two == "//" ? end : end + 2;
}

/// C++ with each comment replaced by one space; leaves literals alone.
inline std::string without_comments(std::string_view text) {
  std::string out;
  for (size_t at = 0, end; at < text.size(); at = end) {
    if ((end = comment_end(text, at)) != at) {
      out += ' ';
    } else {
      end = std::max(literal_end(text, at), at + 1);
      out += text.substr(at, end - at);
    }
  }
  return out;
}

/// C++ without comments and without white space outside literals.
inline std::string without_space(std::string_view text) {
  std::string out;
  for (size_t at = 0, end; at < text.size(); at = end) {
    end = std::max(literal_end(text, at), at + 1);
    if (!std::isspace(static_cast<unsigned char>(text[at]))) out += text.substr(at, end - at);
  }
  return out;
}

/// Files below `folder` with one of `extensions`, sorted; none if there is no such folder.
inline std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder,
                                                      const std::vector<std::string>& extensions) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::exists(folder)) return files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file() &&
        std::count(extensions.begin(), extensions.end(), entry.path().extension().string()))
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace orrery::test
