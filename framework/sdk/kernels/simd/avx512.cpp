#include "sdk/kernels/simd/loops.inc"

namespace orrery::kernels {
extern const Loops loops_avx512;
ORRERY_LOOPS_TABLE(loops_avx512)
}  // namespace orrery::kernels
