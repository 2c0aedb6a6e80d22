#pragma once

#include <string>

#include "engine/gallery/make_gallery.h"

namespace orrery::cli {

using namespace engine;

/// A line per config that was judged, how many of its claims hold and which do not; then what was left out.
std::string gallery_text(const Gallery& gallery, size_t width);
/// A line of JSON per claim: config, expected, claim, source, got, interval, n, passed.
std::string gallery_json(const Gallery& gallery);

}  // namespace orrery::cli
