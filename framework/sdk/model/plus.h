// Biases that may not be there.
#pragma once

#include <torch/types.h>

namespace orrery {

/// x + b, or x where there is no bias.
inline torch::Tensor plus(const torch::Tensor& x, const torch::Tensor& b) { return b.defined() ? x + b : x; }

}  // namespace orrery
