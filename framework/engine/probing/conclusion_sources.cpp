#include "engine/probing/conclusion_sources.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/run/curves.h"

namespace orrery::engine {

std::vector<std::string> source_labels(const ProbeInRun& probe, const RunHistory& history,
                                       const std::vector<std::string>& labels) {
  std::vector<Curve> chosen;
  try {
    chosen = choose_curves(history.curves, probe.needs.curves, probe.label);
  } catch (const Error&) {
    return {};
  }
  std::vector<std::string> sources = labels_read(probe.needs, probe.label, labels);
  for (const std::string& label : labels) {
    const std::string prefix = fmt::format("probe/{}/", label);
    if (std::find(sources.begin(), sources.end(), label) == sources.end() &&
        std::any_of(chosen.begin(), chosen.end(),
                    [&](const Curve& curve) { return curve.name.starts_with(prefix); }))
      sources.push_back(label);
  }
  return sources;
}

MadeCheckpoints::MadeCheckpoints(const RunDirectory& run, const RunJson& info,
                                 const CheckpointSchedule& schedule)
    : configured_(info.probes()) {
  for (const CheckpointFile& file : run.checkpoints()) there_.insert(file.step);
  made_ = there_;
  made_.insert(info.pruned.begin(), info.pruned.end());
  if (there_.empty()) return;
  for (const int64_t step : schedule.steps())
    if (step < *there_.rbegin() && info.may_be_thinned(step)) made_.insert(step);
}

// That of the config; or 0 for a probe that came later, if it has measured whatever is there.
std::optional<int64_t> MadeCheckpoints::every_of(const std::string& label,
                                                 const std::set<int64_t>& measured) const {
  for (const ConfiguredProbe& probe : configured_)
    if (probe.label == label) return probe.every;
  if (std::includes(measured.begin(), measured.end(), there_.begin(), there_.end())) return 0;
  return std::nullopt;
}

std::optional<SeenCheckpoints> MadeCheckpoints::partly_seen(const std::string& label,
                                                            const std::set<int64_t>& measured) const {
  const std::optional<int64_t> every = every_of(label, measured);
  if (!every) return std::nullopt;
  SeenCheckpoints count;
  for (const int64_t step : made_) {
    if (*every != 0 && step % *every != 0) continue;
    ++count.made;
    count.seen += there_.contains(step) || measured.contains(step);
  }
  return count.seen < count.made ? std::optional(count) : std::nullopt;
}

}  // namespace orrery::engine
