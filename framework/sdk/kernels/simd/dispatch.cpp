#include "sdk/kernels/simd/dispatch.h"

namespace orrery::kernels {

extern const Loops loops_avx512, loops_avx2, loops_baseline;

namespace {

std::vector<const Loops*> find_loops() {
  std::vector<const Loops*> all;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    all.push_back(&loops_avx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&loops_avx2);
#endif
  all.push_back(&loops_baseline);
  return all;
}

}  // namespace

const std::vector<const Loops*>& all_loops() {
  static const std::vector<const Loops*> all = find_loops();
  return all;
}

const Loops& loops() { return *all_loops().front(); }

}  // namespace orrery::kernels
