#include "engine/gallery/markdown.h"

#include <cctype>
#include <cstring>

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

bool is_word(const std::string& text, size_t i) {
  return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i]));
}

}  // namespace

std::string escaped_markdown(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool inside = c == '_' && i > 0 && is_word(text, i - 1) && is_word(text, i + 1);
    if (c == '\n' || c == '\r')
      out += ' ';
    else if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (std::strchr("\\`*_[]|~$", c) && c && !inside)
      out += std::string("\\") + c;
    else
      out += c;
  }
  return out;
}

// Between two backticks if it has one itself.
std::string code_in_cell(const std::string& text) {
  const std::string fence = text.find('`') == std::string::npos ? "`" : "`` ";
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c == '\n' ? ' ' : c);
  return fence + out + std::string(fence.rbegin(), fence.rend());
}

std::string link_between(const fs::path& from, const fs::path& to) {
  const fs::path link =
      fs::absolute(to).lexically_normal().lexically_relative(fs::absolute(from / "").lexically_normal());
  std::string out;
  for (const char c : link.generic_string()) out += c == ' ' ? "%20" : std::string(1, c);
  return out;
}

}  // namespace orrery::engine
