#include "sdk/kernels/simd/loops.inc"

namespace orrery::kernels {
extern const Loops loops_baseline;
ORRERY_LOOPS_TABLE(loops_baseline)
}  // namespace orrery::kernels
