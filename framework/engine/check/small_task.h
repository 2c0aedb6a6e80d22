// Makes a task smaller, so that a probe can be checked on it many times.
#pragma once

#include "engine/check/task_checks.h"

namespace orrery::engine::checks {

/// The task with its integer parameters lowered from `given`, one at a time, as long as that makes the
/// examples fewer or shorter and leaves the structure the same. Keeps at least 100 inputs in the grid, 16
/// train and 16 test examples, and 8 tokens, if there were that many. Named after what was lowered: `p = 11`.
Variant make_small(const TaskSource& source, const Values& given);

}  // namespace orrery::engine::checks
