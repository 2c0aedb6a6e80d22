// Inside the report room only: the files that the build put into liborrery (embed.cmake).
#pragma once

#include <orrery/export.h>

#include <string_view>
#include <utility>
#include <vector>

namespace orrery {

/// Name and content of every file of page/, of "plotly.js", which is empty where npm could not fetch it, and
/// of "plotly.missing", which then says why.
ORRERY_API const std::vector<std::pair<std::string_view, std::string_view>>& page_files();

}  // namespace orrery
