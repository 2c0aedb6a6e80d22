// Which tensors a run can store.
#pragma once

#include <torch/types.h>

#include <string>

namespace orrery {

/// Why `tensor` cannot be stored ("it is sparse"), or "". `tensor` is defined.
std::string storable_fault(const torch::Tensor& tensor);

}  // namespace orrery
