#include "cli/text/help_format.h"

#include <CLI/App.hpp>

#include <sstream>
#include <vector>

#include "cli/text/table.h"

namespace orrery::cli {
namespace {

constexpr size_t help_width = 80;

// Where the lines that go on from this one begin.
size_t margin_of(const std::string& line, size_t column) { return line.starts_with(" ") ? column : 0; }

// A command to be copied, or an option's or command's name with nothing beside it.
bool stays_whole(const std::string& line, size_t column) {
  if (!line.starts_with(" ")) return false;
  if (line.starts_with("  orrery ") || line.size() <= column) return true;
  return line[column] == ' ' || line[column - 1] != ' ';
}

bool is_prose(const std::string& line) {
  return !line.empty() && line[0] != ' ' && !line.starts_with("Usage:") && !line.ends_with(":");
}

std::string broken(const std::string& line, size_t column) {
  if (width_of(line) <= help_width || stays_whole(line, column)) return line;
  const size_t margin = margin_of(line, column);
  return line.substr(0, margin) +
         indented(wrapped(line.substr(margin), 0, help_width - margin), std::string(margin, ' '));
}

// Lines of prose that follow each other, as one if one of them is too long.
std::vector<std::string> paragraphs(const std::vector<std::string>& lines) {
  std::vector<std::string> out;
  for (size_t i = 0; i < lines.size();) {
    size_t end = i;
    bool long_line = false;
    for (; end < lines.size() && is_prose(lines[end]); ++end) long_line |= width_of(lines[end]) > help_width;
    if (!long_line) end = i + 1;
    std::string text = lines[i];
    for (size_t k = i + 1; k < end; ++k) text += " " + lines[k];
    out.push_back(text);
    i = end;
  }
  return out;
}

}  // namespace

std::string broken_help(const std::string& text, size_t column) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  std::string out;
  for (const std::string& line : paragraphs(lines)) out += broken(line, column) + "\n";
  return out;
}

// A default as "=1", as CLI11 2.3 writes it. Version 2.4 has " [1] ".
std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  std::string text = CLI::Formatter::make_option_opts(option);
  const std::string value = option->get_default_str(), later = " [" + value + "] ";
  if (const size_t at = text.find(later); !value.empty() && at != std::string::npos)
    text.replace(at, later.size(), "=" + value);
  return text;
}

std::string HelpFormat::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  return broken_help(CLI::Formatter::make_help(app, std::move(name), mode), get_column_width());
}

}  // namespace orrery::cli
