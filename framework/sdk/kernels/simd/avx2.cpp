#include "sdk/kernels/simd/loops.inc"

namespace orrery::kernels {
extern const Loops loops_avx2;
ORRERY_LOOPS_TABLE(loops_avx2)
}  // namespace orrery::kernels
