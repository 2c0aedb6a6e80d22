// The text output of `orrery show`.
#pragma once

#include <cstddef>
#include <string>

#include "engine/config/settings.h"
#include "engine/inspect/overview.h"
#include "engine/inspect/sparkline.h"

namespace orrery::cli {

using namespace engine;

/// Lines of at most `width` columns, as far as names and values allow; sparklines take the rest. Each line
/// ends in a newline.
std::string show_text(const RunOverview& seen, const ParametersOf& parameters_of, size_t width,
                      Glyphs glyphs);

}  // namespace orrery::cli
