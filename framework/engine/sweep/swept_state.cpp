#include "engine/sweep/swept_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/inspect/listing.h"
#include "engine/run/run_lock.h"
#include "engine/sweep/swept_log.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

SweptState state_from(RunState run, const LastLine& log) {
  if (run == RunState::training) return SweptState::running;
  if (run == RunState::diverged || run == RunState::damaged || log.end == LoggedEnd::failed)
    return SweptState::failed;
  if (run == RunState::interrupted) return SweptState::stale;
  // Trained to the end; a run of a sweep that does not say so was killed before its probes were done.
  return log.end == LoggedEnd::nothing ? SweptState::stale : SweptState::done;
}

}  // namespace

std::string to_string(SweptState state) {
  switch (state) {
    case SweptState::missing:
      return "missing";
    case SweptState::running:
      return "running";
    case SweptState::stale:
      return "stale";
    case SweptState::done:
      return "done";
    case SweptState::failed:
      return "failed";
  }
  return "unknown";
}

SweptStatus status_of(const SweepPlan& plan, const SweptRun& run) {
  const fs::path folder = plan.run_folder(run);
  const LastLine log = read_swept_log(folder);
  SweptStatus status;
  std::error_code ignored;
  if (fs::exists(folder / "run.json", ignored)) {
    const RunSummary seen = list_run(folder);
    status.state = state_from(seen.state, log);
    status.step = seen.step;
    status.diverged = seen.state == RunState::diverged;
    if (seen.info) {
      status.n_parameters = seen.info->n_parameters.value_or(0);
      for (const SessionInfo& session : seen.info->sessions) status.seconds += session.seconds.value_or(0);
    }
    if (status.diverged)
      status.error = fmt::format("the loss became NaN or infinite after step {}", seen.step);
    else if (status.state == SweptState::failed)
      status.error = seen.state == RunState::damaged ? seen.damage : log.error;
  } else if (log.end == LoggedEnd::failed) {
    status.state = SweptState::failed;
    status.error = log.error;
  }
  if (status.state != SweptState::done && RunLock::is_held(plan.lock_folder(run)))
    status.state = SweptState::running;
  return status;
}

std::vector<SweptStatus> status_of(const SweepPlan& plan) {
  std::vector<SweptStatus> all;
  for (const SweptRun& run : plan.runs) all.push_back(status_of(plan, run));
  return all;
}

std::string indices_text(const std::vector<size_t>& indices) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < indices.size();) {
    size_t end = i + 1;
    while (end < indices.size() && indices[end] == indices[end - 1] + 1) ++end;
    parts.push_back(end - i == 1 ? fmt::format("{}", indices[i])
                                 : fmt::format("{}-{}", indices[i], indices[end - 1]));
    i = end;
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

}  // namespace orrery::engine
