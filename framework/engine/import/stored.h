// Private to the import room: converts stored tensors to LibTorch's.
#pragma once

#include <torch/types.h>

#include "engine/import/pickle.h"

namespace orrery::engine {

/// A copy, contiguous, on the CPU.
torch::Tensor as_tensor(const pickle::StoredTensor& stored);
bool all_zero(const pickle::StoredTensor& stored);

}  // namespace orrery::engine
