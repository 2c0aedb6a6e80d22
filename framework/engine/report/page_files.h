// Private to the report room: the files that the build embeds in the program (embed.cmake).
#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace orrery::engine {

/// Name and content of every file of page/, of "plotly.js", which is empty if npm could not fetch it, and of
/// "plotly.missing", which then says why.
const std::vector<std::pair<std::string_view, std::string_view>>& page_files();

}  // namespace orrery::engine
