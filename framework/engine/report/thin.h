// Thins curves without changing how they look.
#pragma once

#include <orrery/probe.h>

#include <cstddef>

namespace orrery::engine {

/// `curve` itself if it has at most `most` points. Otherwise its first and last point and, from each of
/// (most - 2) / 2 equally long stretches of the rest, the least and the greatest finite value, so that no
/// spike is lost. A stretch without a finite value keeps its first point.
Curve thin_curve(const Curve& curve, size_t most);

}  // namespace orrery::engine
