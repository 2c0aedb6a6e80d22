// The energy of functions of a pair in the components of their two-dimensional Fourier transform. The
// components themselves are kept by nobody: of 512 neurons they would fill the caches many times.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

namespace orrery {

/// Sums of squares of the components of fourier_2d of m functions, each about its own mean. Those of a
/// function that is constant, up to rounding, are rounding noise: `varies` is false for it.
struct WaveEnergies {
  torch::Tensor
      components;  ///< [n, n] float64: over all functions, without const x const, in the order of fourier_2d
  torch::Tensor varying;  ///< [n, n] float64: the same over functions that vary
  torch::Tensor
      own;  ///< [floor(n/2), m] float64: row k - 1 in the 8 components of {const, cos k, sin k} squared
  torch::Tensor total;   ///< [m] float64: of all components
  torch::Tensor varies;  ///< [m] bool
};

/// x: [n, n, m] float32 or float64 on the CPU, n >= 2. A few functions at a time, in products of even and odd
/// parts, which take half of the multiplications.
ORRERY_API WaveEnergies wave_energies(const torch::Tensor& x);
/// The reference, by plain tensor operations; x is on any device, and so is the result.
ORRERY_API WaveEnergies plain_wave_energies(const torch::Tensor& x);

}  // namespace orrery
