#include "engine/sweep/array_task.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <charconv>
#include <string_view>

namespace orrery::engine {

int64_t array_task(const Environment& environment) {
  for (const char* name :
       {"SLURM_ARRAY_TASK_ID", "HQ_TASK_ID", "HQ_ENTRY", "SGE_TASK_ID", "PBS_ARRAY_INDEX"}) {
    const char* text = environment(name);
    // Grid Engine sets it to this in jobs that are no arrays.
    if (!text || std::string_view(text) == "undefined") continue;
    const std::string_view written(text);
    int64_t task = 0;
    const auto [end, failure] = std::from_chars(written.data(), written.data() + written.size(), task);
    if (failure != std::errc() || end != written.data() + written.size() || task < 0)
      throw UsageError(fmt::format("--task: {} is \"{}\", not the number of a task", name, written));
    return task;
  }
  throw UsageError(
      "--task: no array job set the number of this task",
      "it is read from SLURM_ARRAY_TASK_ID, HQ_TASK_ID, HQ_ENTRY, SGE_TASK_ID or PBS_ARRAY_INDEX; "
      "elsewhere give --index N");
}

std::set<size_t> share_of(int64_t task, int64_t pack, int64_t offset, size_t n_runs) {
  std::set<size_t> share;
  for (int64_t index = offset + task * pack; index < offset + (task + 1) * pack; ++index)
    if (index >= 0 && static_cast<size_t>(index) < n_runs) share.insert(static_cast<size_t>(index));
  return share;
}

}  // namespace orrery::engine
