#include "engine/sweep/metric_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <set>
#include <utility>

#include "engine/experiment/rows.h"
#include "engine/inspect/listing.h"

namespace orrery::engine {
namespace {

struct NamedMetric {
  std::string name, place, what;  // "metric", "checkpoint": the key that names it
};

std::vector<NamedMetric> named_metrics(const SweepFile& file) {
  std::vector<NamedMetric> named;
  for (const SweepReading& reading : file.readings) {
    named.push_back({reading.question.metric, reading.metric_place, "metric"});
    if (!reading.question.minus.empty())
      named.push_back({reading.question.minus, reading.minus_place, "minus"});
  }
  for (const SweepClaim& claim : file.claims)
    if (claim.of_curves()) named.push_back({claim.subject, claim.subject_place, "equal"});
  for (const SweepStage& stage : file.stages)
    if (stage.sweep.empty())  // the runs of another sweep may be of another task
      for (const std::string& name : stage.start.condition.metrics())
        named.push_back({name, stage.start_place, "checkpoint"});
  return named;
}

void refuse_label(const SweepPlan& plan, const NamedMetric& each) {
  const std::string label = label_in(each.name);
  std::vector<std::string> labels;
  for (const SweptRun& run : plan.runs)
    for (const ProbeChoice& probe : run.settings->probes)
      if (std::find(labels.begin(), labels.end(), probe.label) == labels.end()) labels.push_back(probe.label);
  if (std::find(labels.begin(), labels.end(), label) != labels.end()) return;
  throw UsageError(fmt::format("{}: {}: no probe has the label \"{}\"{}", each.place, each.what, label,
                               did_you_mean(label, labels)),
                   labels.empty() ? "the config has no [[probe]]"
                                  : fmt::format("the labels are {}", fmt::join(labels, ", ")));
}

// What the runs of the plan have in their files, of an earlier version perhaps.
void add_written(const SweepPlan& plan, std::set<std::string>& known) {
  for (const SweptRun& run : plan.runs)
    if (const RunSummary seen = list_run(plan.run_folder(run)); seen.last)
      for (const auto& [name, value] : seen.last->values) known.insert(name);
}

}  // namespace

std::vector<std::string> metrics_of(const TaskSpec& spec) {
  std::vector<std::string> names;
  for (const std::string set : {"train/", "test/"}) {
    names.push_back(set + "loss");
    names.push_back(set + "accuracy");
    for (const std::string& group : spec.groups) names.push_back(set + "loss/" + group);
    for (const std::string& own : spec.metrics) names.push_back(set + own);
  }
  names.push_back("weights/norm");
  return names;
}

void refuse_unknown_metrics(const SweepPlan& plan, const std::vector<std::string>& written) {
  std::set<std::string> known(written.begin(), written.end());
  bool read = false;
  for (const NamedMetric& each : named_metrics(plan.file)) {
    if (!label_in(each.name).empty()) {
      refuse_label(plan, each);
      continue;
    }
    if (!known.count(each.name) && !std::exchange(read, true)) add_written(plan, known);
    if (known.count(each.name)) continue;
    const std::vector<std::string> names(known.begin(), known.end());
    throw UsageError(fmt::format("{}: {}: no run has a metric \"{}\"{}", each.place, each.what, each.name,
                                 did_you_mean(each.name, names)),
                     fmt::format("they have {}", fmt::join(names, ", ")));
  }
}

}  // namespace orrery::engine
