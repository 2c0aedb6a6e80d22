#include "engine/sweep/sweep_commands.h"

#include <algorithm>
#include <cctype>

namespace orrery::engine {

std::string shell_word(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || std::string_view("-_./=,:+@%").find(static_cast<char>(c)) != std::string::npos;
  });
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string command_of(const std::string& file, const std::string& folder, size_t index) {
  std::string line = "orrery sweep run " + shell_word(file);
  if (!folder.empty()) line += " --out " + shell_word(folder);
  return line + " --index " + std::to_string(index);
}

}  // namespace orrery::engine
