// Output positions as a tensor on a device.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace orrery::kernels {

/// Ascending `positions` as int64 [n] on `device`. Consecutive ones, which are the rule, are made there:
/// copying them would make the caller wait for a GPU to finish all it was given.
inline torch::Tensor positions_on(torch::Device device, const std::vector<int64_t>& positions) {
  const auto n = static_cast<int64_t>(positions.size());
  if (n > 0 && positions.back() - positions.front() == n - 1)
    return torch::arange(positions.front(), positions.back() + 1, torch::dtype(torch::kInt64).device(device));
  return torch::tensor(positions, torch::kInt64).to(device);
}

}  // namespace orrery::kernels
