// Wilson's interval for a share (Wilson 1927; Brown, Cai, DasGupta 2001 recommend it for small n).
#pragma once

#include <cstddef>

namespace orrery::engine {

struct Bounds {
  double low, high;
};

/// The 95 % interval for the share behind `hits` of `n` > 0.
Bounds wilson_interval(size_t hits, size_t n);

}  // namespace orrery::engine
