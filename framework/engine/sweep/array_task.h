// Which part of a sweep an array job's task does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>

namespace orrery::engine {

/// The value of an environment variable; null if it is not set.
using Environment = std::function<const char*(const char* name)>;

/// The number of this task, from SLURM_ARRAY_TASK_ID, HQ_TASK_ID, HQ_ENTRY, SGE_TASK_ID or PBS_ARRAY_INDEX,
/// the first that is set. Throws UsageError if none is, or if it is no number.
int64_t array_task(const Environment& environment);

/// The indices of the runs of task `task`, `pack` in a row, from `offset` on; those below `n_runs`.
std::set<size_t> share_of(int64_t task, int64_t pack, int64_t offset, size_t n_runs);

}  // namespace orrery::engine
