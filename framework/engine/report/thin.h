// Curves with fewer points that look the same.
#pragma once

#include <orrery/probe.h>

#include <cstddef>

namespace orrery::engine {

/// `curve` itself if it has at most `most` points. Otherwise the first and the last point and, of each of
/// (most - 2) / 2 equally long stretches of the rest, its least and its greatest finite value: no spike is
/// lost. A stretch without a finite value keeps its first point.
Curve thin_curve(const Curve& curve, size_t most);

}  // namespace orrery::engine
