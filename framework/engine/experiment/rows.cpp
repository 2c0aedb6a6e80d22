#include "engine/experiment/rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "engine/reporter/numbers.h"
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

void refuse_unwritten(const std::string& metric, const std::string& place, const std::string& key,
                      const std::vector<std::string>& written) {
  const auto is_it = [&](const std::string& name) { return matches(metric, name); };
  if (metric.empty() || !label_in(metric).empty()) return;
  if (std::any_of(written.begin(), written.end(), is_it)) return;
  // A glob may be meant for scalars of probes: "*/loss".
  if (metric.find('*') != std::string::npos) return;
  throw UsageError(fmt::format("{}: expect.{}: there is no metric \"{}\"{}", place, key, metric,
                               did_you_mean(metric, written)),
                   fmt::format("this run writes: {}", fmt::join(written, ", ")));
}

}  // namespace

std::string label_in(const std::string& metric) {
  const std::string prefix = "probe/";
  if (!metric.starts_with(prefix)) return "";
  return metric.substr(prefix.size(), metric.find('/', prefix.size()) - prefix.size());
}

bool has_row(const Settings& settings, const Expectation& question) {
  if (question.rows.end) return true;
  for (const int64_t step : rows_of(settings, question.metric))
    if (question.rows.steps.contains(static_cast<double>(step))) return true;
  return false;
}

std::string advice_on_rows(const Settings& settings, const Expectation& question) {
  return fmt::format(
      "{}; those around it are {}",
      label_in(question.metric).empty()
          ? fmt::format("there is one every {} steps (train.eval_every)",
                        thousands(settings.train.eval_every))
          : "a probe measures at checkpoints (checkpoints.every and per_decade, the sweep's keep, "
            "and the probe's every)",
      nearest(rows_of(settings, question.metric), question.rows.steps));
}

void refuse_unanswerable(const Settings& settings, const std::vector<std::string>& written) {
  for (const Expectation& asked : settings.expectations) {
    refuse_unwritten(asked.metric, asked.metric_at.place, "metric", written);
    refuse_unwritten(asked.minus, asked.minus_at.place, "minus", written);
    if (asked.metric.find('*') == std::string::npos && !has_row(settings, asked))
      throw UsageError(fmt::format("{}: expect.when: \"{}\" is a row that the run will not have of {}",
                                   asked.when_at.place, asked.when, asked.metric),
                       advice_on_rows(settings, asked));
  }
}

}  // namespace orrery::engine
