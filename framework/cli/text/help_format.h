// The help of the program and its commands, in 80 columns.
#pragma once

#include <CLI/Formatter.hpp>
#include <string>

namespace orrery::cli {

/// CLI11's help, with lines of more than 80 characters broken at spaces: descriptions under their own column,
/// paragraphs of prose at the margin. Examples, which are indented by two spaces, are left as they are: they
/// are to be copied.
class HelpFormat final : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
};

/// `text` with its long lines broken like that, where descriptions begin in column `column`, counted from 0.
std::string broken_help(const std::string& text, size_t column);

}  // namespace orrery::cli
