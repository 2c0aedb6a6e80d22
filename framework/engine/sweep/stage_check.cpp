#include "engine/sweep/stage_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include "engine/train/schedule.h"

namespace orrery::engine {
namespace {

// What the config of a run says of its checkpoints.
struct KeptBy {
  CheckpointSettings checkpoints;
  int64_t steps = 0;
  std::string stop_when;
};

// Nothing if the plan, one that an earlier version wrote for another sweep, does not tell.
std::optional<KeptBy> kept_by(const SweepPlan& plan, const SweptRun& run) {
  if (run.settings)
    return KeptBy{run.settings->checkpoints, run.settings->train.steps, run.settings->train.stop_when};
  const auto value = [&](const char* key) {
    const auto own = run.config.find(key);
    if (own != run.config.end()) return own->second;
    const auto common = plan.defaults.find(key);
    return common == plan.defaults.end() ? Json() : common->second;
  };
  const Json every = value("checkpoints.every"), per_decade = value("checkpoints.per_decade"),
             steps = value("train.steps"), stop_when = value("train.stop_when");
  if (!every.is_number_integer() || !per_decade.is_number_integer() || !steps.is_number_integer() ||
      !stop_when.is_string())
    return std::nullopt;
  KeptBy kept{{}, steps.get<int64_t>(), stop_when.get<std::string>()};
  kept.checkpoints.every = every.get<int64_t>();
  kept.checkpoints.per_decade = per_decade.get<int64_t>();
  return kept;
}

// "0, 10, 20", "0, 10, 20, ..., 400".
std::string steps_text(const std::vector<int64_t>& steps) {
  constexpr size_t most = 6;
  if (steps.size() <= most) return fmt::format("{}", fmt::join(steps, ", "));
  return fmt::format("{}, ..., {}", fmt::join(steps.begin(), steps.begin() + (most - 2), ", "), steps.back());
}

}  // namespace

void check_start(const SweepPlan& plan, const SweepStage& stage, const SweptRun& parent) {
  if (stage.start.kind != StartRule::Kind::step) return;
  const SweepPlan& owner = stage.sweep.empty() ? plan : *plan.others.at(stage.sweep);
  const auto kept = kept_by(owner, parent);
  if (!kept) return;
  const CheckpointSchedule schedule(kept->checkpoints, kept->steps);
  // One that ends early keeps a checkpoint of whichever step that is.
  const bool may_end_there = !kept->stop_when.empty() && stage.start.step <= kept->steps;
  if (schedule.due(stage.start.step) || may_end_there) return;
  const std::string point = point_text(parent.point);
  throw UsageError(
      fmt::format("{}: checkpoint: run {} that stage {} starts from keeps no checkpoint of step {}{}",
                  stage.start_place, parent.id, stage.name, stage.start.step,
                  point.empty() ? "" : fmt::format(" (at {})", point)),
      stage.start.step > kept->steps
          ? fmt::format("it ends at step {}", kept->steps)
          : fmt::format("by its `keep` and [checkpoints] it keeps those of steps {}",
                        steps_text(schedule.steps())));
}

}  // namespace orrery::engine
