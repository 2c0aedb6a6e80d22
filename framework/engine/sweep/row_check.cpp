#include "engine/sweep/row_check.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "engine/reporter/numbers.h"
#include "engine/sweep/metric_check.h"
#include "engine/train/schedule.h"

namespace orrery::engine {
namespace {

bool of_whole_run(const std::string& metric, const std::string& label) {
  const std::string prefix = "probe/" + label;
  return metric.starts_with(prefix + "/null/") || metric.starts_with(prefix + "/conclusion/");
}

std::set<int64_t> multiples(int64_t every, int64_t last) {
  std::set<int64_t> steps{0, last};
  for (int64_t step = every; step < last; step += every) steps.insert(steps.end(), step);
  return steps;
}

std::set<int64_t> measured(const Settings& settings, const std::string& label) {
  const int64_t last = settings.train.steps;
  std::set<int64_t> steps;
  for (const ProbeChoice& probe : settings.probes) {
    if (probe.label != label) continue;
    for (const int64_t step : CheckpointSchedule(settings.checkpoints, last).steps())
      if (probe.every == 0 || step % probe.every == 0) steps.insert(step);
  }
  return steps;
}

std::set<int64_t> rows_of(const Settings& settings, const std::string& metric) {
  const std::string label = label_in(metric);
  if (label.empty()) return multiples(settings.train.eval_every, settings.train.steps);
  if (of_whole_run(metric, label)) return {settings.train.steps};
  return measured(settings, label);
}

// "0 and 500": the last before what is asked for, and the first after it.
std::string nearest(const std::set<int64_t>& steps, const Interval& asked) {
  std::string text;
  const auto after = std::find_if(steps.begin(), steps.end(),
                                  [&](int64_t step) { return static_cast<double>(step) >= asked.low; });
  if (after != steps.begin()) text = thousands(*std::prev(after));
  if (after != steps.end()) text += (text.empty() ? "" : " and ") + thousands(*after);
  return text;
}

}  // namespace

bool has_row(const Settings& settings, const Expectation& question) {
  if (question.rows.end) return true;
  for (const int64_t step : rows_of(settings, question.metric))
    if (question.rows.steps.contains(static_cast<double>(step))) return true;
  return false;
}

void refuse_missing_rows(const SweepPlan& plan) {
  for (const SweepReading& reading : plan.file.readings) {
    const Expectation& asked = reading.question;
    const Settings* example = nullptr;
    bool found = false;
    for (const SweptRun& run : plan.runs) {
      found = found || !run.settings || has_row(*run.settings, asked);
      if (!example && run.settings) example = run.settings.get();
    }
    if (found || !example) continue;
    const bool of_probe = !label_in(asked.metric).empty();
    throw UsageError(
        fmt::format("{}: when: \"{}\" is a row that no run has of {}", reading.when_place, asked.when,
                    asked.metric),
        fmt::format("{}; those around it are {}",
                    of_probe ? "a probe measures at checkpoints (checkpoints.every and per_decade, the "
                               "sweep's keep, and the probe's every)"
                             : fmt::format("there is one every {} steps (train.eval_every)",
                                           thousands(example->train.eval_every)),
                    nearest(rows_of(*example, asked.metric), asked.rows.steps)));
  }
}

}  // namespace orrery::engine
