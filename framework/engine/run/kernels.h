// What the bits of a run depend on besides its seeds: which implementations of its arithmetic are in use.
#pragma once

#include <string>

namespace orrery::engine {

struct Kernels {
  std::string blas;            ///< "OpenBLAS 0.3.21", "MKL", or "" if it is another or unknown
  std::string blas_core;       ///< OpenBLAS: the processor whose kernels it uses, "SkylakeX"; else ""
  std::string cpu_capability;  ///< of LibTorch's own loops: "AVX2"
  std::string loops;           ///< of ours: "avx512"
  bool flushes_subnormals = false;
};

/// Of this process; whether subnormals are flushed is that of the calling thread.
Kernels kernels_in_use();

/// Millions of multiplications and additions per second (MFLOP/s) of a product of float32 matrices as in a
/// training step, by one thread. Takes a tenth of a second.
double product_speed();

}  // namespace orrery::engine
