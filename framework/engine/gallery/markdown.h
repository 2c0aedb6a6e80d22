// Text in Markdown as GitHub reads it.
#pragma once

#include <filesystem>
#include <string>

namespace orrery::engine {

/// `text` as it is, on one line, in a paragraph or in a cell of a table.
std::string escaped_markdown(const std::string& text);
/// The same as code, in a cell of a table.
std::string code_in_cell(const std::string& text);
/// The file or folder `to` for a link from a file in the folder `from`.
std::string link_between(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace orrery::engine
