// What `orrery show` prints for people.
#pragma once

#include <cstddef>
#include <string>

#include "config/settings.h"
#include "overview/overview.h"
#include "overview/sparkline.h"

namespace orrery::cli {

/// Lines of at most `width` columns where names and values allow it; sparklines take what is left. Each ends
/// in a newline.
std::string show_text(const Overview& seen, const ParametersOf& parameters_of, size_t width, Glyphs glyphs);

}  // namespace orrery::cli
