// The part of a ProbeRunner that asks for conclusions: what they are drawn from, and whether all of that is
// there.
#include <fmt/format.h>

#include <algorithm>

#include "engine/probing/probe_runner.h"
#include "engine/reporter/numbers.h"
#include "engine/run/run_json.h"

namespace orrery::engine {

// Whether a conclusion may ask for tensors or findings of the probe `label`.
bool ProbeRunner::is_read(const std::string& label) const {
  const auto& probes = experiment_.probes();
  return std::any_of(probes.begin(), probes.end(), [&](const ProbeInRun& probe) {
    return !labels_read(probe.needs, probe.label, {label}).empty();
  });
}

void ProbeRunner::read_history() {
  history_ = {all_curves(read_curves(run_)), {}};
  for (const std::string& label : run_.probe_labels())
    if (is_read(label)) history_.records[label] = read_records(run_, label);
  for (const auto& [label, records] : own_records_) history_.records[label] = records;
  for (const auto& [label, reader] : own_curves_) {
    const std::string prefix = fmt::format("probe/{}/", label);
    std::erase_if(history_.curves, [&](const Curve& curve) { return curve.name.starts_with(prefix); });
    for (Curve& curve : reader.curves()) history_.curves.push_back(std::move(curve));
  }
}

// For the conclusions, where results are not stored in the run.
void ProbeRunner::keep_unstored(const std::string& label, const ProbeResult& result,
                                const PackedResult& packed) {
  own_curves_[label].add_row(result.step, result.record.scalars, fmt::format("probe/{}/", label));
  if (!is_read(label)) return;
  if (!unstored_) unstored_.emplace();
  const std::filesystem::path folder = *unstored_ / label,
                              file = folder / fmt::format("step_{:08}.safetensors", result.step);
  make_folders(folder);
  if (!packed.data.empty()) write_file(file, packed.data);
  own_records_[label].push_back(recorded_step(result, file));
}

bool ProbeRunner::is_asked(const std::string& label) const {
  const auto& probes = experiment_.probes();
  return std::any_of(probes.begin(), probes.end(), [&](auto& probe) { return probe.label == label; });
}

// The steps of the results that a conclusion can see of the probe `label`.
std::set<int64_t> ProbeRunner::measured(const std::string& label) const {
  std::set<int64_t> steps;
  if (is_asked(label)) steps = asked_;
  if (options_.store || !is_asked(label))
    for (const ProbeResult& result : run_.read_probe_results(label, RunDirectory::ProbeData::leave_out))
      steps.insert(result.step);
  return steps;
}

// What `probe` concludes from may lack checkpoints for good, because they were pruned before they were
// measured: then the worst of its sources; and it is said.
std::optional<SeenCheckpoints> ProbeRunner::partly_seen(const ProbeInRun& probe,
                                                        const MadeCheckpoints& made) const {
  std::set<std::string> labels;
  for (const ProbeInRun& asked : experiment_.probes()) labels.insert(asked.label);
  for (const std::string& label : run_.probe_labels()) labels.insert(label);
  std::optional<SeenCheckpoints> least;
  std::string of;
  for (const std::string& label : source_labels(probe, history_, {labels.begin(), labels.end()}))
    if (const auto seen = made.partly_seen(label, measured(label));
        seen && (!least || seen->made - seen->seen > least->made - least->seen)) {
      least = seen;
      of = label;
    }
  if (least)
    reporter_.warning(fmt::format("probe {}: it concludes from {} of {} checkpoints of {}: the others were "
                                  "pruned without a result",
                                  probe.label, thousands(least->seen), thousands(least->made), of),
                      "its conclusion says so; what it finds may be coarser than what was there");
  return least;
}

// Whether what `probe` concludes from lacks a checkpoint that was neither measured before nor asked for now.
// A point that a probe failed to measure is not waited for.
bool ProbeRunner::lacks_points(const ProbeInRun& probe) const {
  for (const ProbeInRun& source : experiment_.probes()) {
    if (source_labels(probe, history_, {source.label}).empty()) continue;
    const std::set<int64_t> there = measured(source.label);
    for (const CheckpointFile& checkpoint : run_.checkpoints()) {
      if (!source.due(checkpoint.step) || there.contains(checkpoint.step)) continue;
      reporter_.note(
          fmt::format("probe {}: no conclusion, because {} has not been measured at step {} and perhaps "
                      "others; measure every checkpoint first (--steps all)",
                      probe.label, source.label, thousands(checkpoint.step)));
      return true;
    }
  }
  return false;
}

Job ProbeRunner::conclusion_job() {
  Job job{"the curves of the run", {}};
  const auto& probes = experiment_.probes();
  if (std::none_of(probes.begin(), probes.end(), [](auto& probe) { return probe.concludes(); })) return job;
  read_history();
  const Settings& settings = experiment_.settings();
  const MadeCheckpoints made(run_, read_run_json(run_.root()), {settings.checkpoints, settings.train.steps});
  for (const ProbeInRun& probe : probes) {
    if (!probe.concludes() || skipped_.contains(&probe) || lacks_points(probe)) continue;
    if (const auto seen = partly_seen(probe, made)) partly_seen_[&probe] = *seen;
    const auto provenance = [&] { return provenances_.of_history(probe, history_); };
    if (auto record = stored(probe, RunLevelResult::conclusion, provenance))
      run_level_[RunLevelResult::conclusion].emplace(&probe, std::move(*record));
    else
      job.probes.push_back(&probe);
  }
  return job;
}

void ProbeRunner::conclusions() {
  Job job = conclusion_job();
  if (job.probes.empty()) return;
  const auto take = [&](size_t, const Answer& answer) {
    keep(*answer.probe, RunLevelResult::conclusion, answer.result);
  };
  work({std::move(job)}, {look_at(RunLevelResult::conclusion)}, take, [](size_t) {});
}

}  // namespace orrery::engine
