// What a task hands over is checked once, before anything is trained on it.
#pragma once

#include <orrery/export.h>
#include <orrery/task.h>

#include <string>

namespace orrery {

/// Throws orrery::Error, saying which tensor, what was expected and what was found, unless every batch of
/// `split` has the shapes, dtypes and ranges that `spec` declares.
ORRERY_API void check_split(const TaskSpec& spec, const Split& split);
/// Likewise for one batch; `name` opens the names of its tensors.
ORRERY_API void check_batch(const TaskSpec& spec, const std::string& name, const Batch& batch);

/// The parts of it. Shapes and dtypes:
ORRERY_API void check_shapes(const TaskSpec& spec, const Split& split);
ORRERY_API void check_shapes(const TaskSpec& spec, const std::string& name, const Batch& batch);
/// That the indices in `tensor` (int64) are 0 to end - 1.
ORRERY_API void check_range(const std::string& name, const torch::Tensor& tensor, int64_t end);

}  // namespace orrery
