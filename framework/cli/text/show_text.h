// What `orrery show` prints for people.
#pragma once

#include <cstddef>
#include <string>

#include "engine/config/settings.h"
#include "engine/inspect/overview.h"
#include "engine/inspect/sparkline.h"

namespace orrery::cli {

using namespace engine;

/// Lines of at most `width` columns where names and values allow it; sparklines take what is left. Each ends
/// in a newline.
std::string show_text(const RunOverview& seen, const ParametersOf& parameters_of, size_t width,
                      Glyphs glyphs);

}  // namespace orrery::cli
