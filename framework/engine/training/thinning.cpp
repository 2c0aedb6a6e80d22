#include "engine/training/thinning.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/config/parse_text.h"
#include "engine/experiment/open_run.h"
#include "engine/train/kept.h"

namespace orrery::engine {

std::set<int64_t> referenced_steps(const std::vector<ProbeChoice>& probes) {
  std::set<int64_t> steps;
  for (const ProbeChoice& probe : probes)
    if (probe.reference.starts_with("step:"))
      if (const auto step = parse_integer(probe.reference.substr(5))) steps.insert(*step);
  return steps;
}

Thinning::Thinning(const Experiment& experiment, RunDirectory& run)
    : experiment_(experiment),
      run_(run),
      schedule_(experiment.settings().checkpoints, experiment.settings().train.steps) {
  if (experiment.settings().checkpoints.keep_last == 0) return;
  for (const MetricsRow& row : run.read_metrics()) evaluated(row.step, row.values);
}

void Thinning::evaluated(int64_t step, const Metrics& metrics) {
  if (grokked_) return;
  for (const auto& [name, value] : metrics)
    if (name == "test/accuracy" && value >= grokked_accuracy) grokked_ = step;
}

void Thinning::thin() { drop(/*unmeasured_too=*/false); }
void Thinning::thin_all() { drop(/*unmeasured_too=*/true); }

void Thinning::drop(bool unmeasured_too) {
  const int64_t keep_last = experiment_.settings().checkpoints.keep_last;
  if (keep_last == 0) return;
  std::vector<int64_t> there;
  for (const CheckpointFile& checkpoint : run_.checkpoints()) there.push_back(checkpoint.step);
  KeepRule rule{keep_last, 0, referenced_steps(experiment_.settings().probes)};
  if (grokked_)
    if (const auto first = std::lower_bound(there.begin(), there.end(), *grokked_); first != there.end())
      rule.marked.insert(*first);
  const std::set<int64_t> kept = kept_steps(there, rule, schedule_);
  for (const int64_t step : there)
    if (!kept.contains(step) && (unmeasured_too || measured(step))) run_.drop_weights(step);
}

bool Thinning::measured(int64_t step) {
  return asked_.contains(step) ||
         std::all_of(experiment_.probes().begin(), experiment_.probes().end(), [&](const ProbeInRun& probe) {
           return probe.waits() || !probe.due(step) || run_.has_result(probe.label, step);
         });
}

// Probes that wait for the last checkpoint come too late for those that are gone by then.
void warn_of_thinning(const Experiment& experiment, Reporter& reporter) {
  const int64_t keep_last = experiment.settings().checkpoints.keep_last;
  std::vector<std::string> late;
  for (const ProbeInRun& probe : experiment.probes())
    if (probe.waits()) late.push_back(fmt::format("{} (reference {})", probe.label, probe.reference));
  if (keep_last > 0 && !late.empty())
    reporter.warning(
        fmt::format(
            "checkpoints.keep_last is {}: probes that fit to another checkpoint measure only those that "
            "are there in the end: {}",
            keep_last, fmt::join(late, ", ")),
        "reference = \"self\" has a probe measure each checkpoint before it goes");
}

}  // namespace orrery::engine
