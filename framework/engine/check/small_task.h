// A task made smaller, so that a probe can be looked at on it many times over.
#pragma once

#include "engine/check/task_checks.h"

namespace orrery::engine::checks {

/// The task with parameters that are whole numbers lowered from `given`, one after the other, as long as that
/// leaves fewer or shorter examples and the same structure: at least 100 inputs in the grid, 16 to train and
/// 16 to test on, 8 tokens, where there were that many. Named after what was lowered: `p = 11`.
Variant make_small(const TaskSource& source, const Values& given);

}  // namespace orrery::engine::checks
