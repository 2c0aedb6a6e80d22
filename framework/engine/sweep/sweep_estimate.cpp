#include "engine/sweep/sweep_estimate.h"

#include <algorithm>

#include "engine/train/schedule.h"

namespace orrery::engine {
namespace {

uint64_t bytes_below(const std::filesystem::path& folder) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (std::filesystem::recursive_directory_iterator at(folder, ignored), end; !ignored && at != end;
       at.increment(ignored)) {
    std::error_code gone;
    const uint64_t size = at->is_regular_file(gone) ? at->file_size(gone) : 0;
    if (!gone) bytes += size;
  }
  return bytes;
}

// The checkpoints, and the state beside the last one: a second set of weights and Adam's two moments.
uint64_t weights_kept(const Settings& settings, Keep keep, int64_t n_parameters) {
  const size_t checkpoints = CheckpointSchedule(settings.checkpoints, settings.train.steps).steps().size();
  return keep == Keep::none ? 0 : (checkpoints + 2) * static_cast<uint64_t>(n_parameters) * sizeof(float);
}

}  // namespace

SweepEstimate estimate(const SweepPlan& plan, const std::vector<SweptStatus>& states,
                       const std::map<std::string, int64_t>& sizes) {
  SweepEstimate estimate;
  double seconds = 0, cost = 0, left = 0;
  uint64_t bytes = 0, n_done = 0, largest = 0;
  for (size_t i = 0; i < states.size(); ++i) {
    const SweptRun& run = plan.runs[i];
    const SweptStatus& status = states[i];
    if (status.state == SweptState::done) {
      seconds += status.seconds;
      cost += static_cast<double>(status.step) * static_cast<double>(status.n_parameters);
      bytes += bytes_below(plan.run_folder(run));
      ++n_done;
      continue;
    }
    const auto size = sizes.find(run.id);
    if (size == sizes.end()) continue;
    largest = std::max(largest, weights_kept(*run.settings, plan.keep_of(run), size->second));
    if (!status.diverged)
      left += static_cast<double>(std::max<int64_t>(run.settings->train.steps - status.step, 0)) *
              static_cast<double>(size->second);
  }
  if (cost > 0) estimate.seconds = seconds / cost * left;
  if (n_done > 0) estimate.run_bytes = bytes / n_done;
  if (largest > 0) estimate.least_bytes = largest;
  return estimate;
}

}  // namespace orrery::engine
