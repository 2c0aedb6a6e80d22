// Chooses the loops for the processor at run time.
#pragma once

#include <orrery/export.h>

#include <vector>

#include "sdk/kernels/simd/loops.h"

namespace orrery::kernels {

/// The loops of every instruction set that this processor has, the widest first.
ORRERY_API const std::vector<const Loops*>& all_loops();
/// The first of all_loops().
ORRERY_API const Loops& loops();

}  // namespace orrery::kernels
