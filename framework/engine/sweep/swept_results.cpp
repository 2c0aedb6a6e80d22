#include "engine/sweep/swept_results.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <set>
#include <vector>

#include "engine/run/run_directory.h"
#include "engine/sweep/swept_log.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

std::set<int64_t> steps_measured(const RunDirectory& run, const std::string& label) {
  std::set<int64_t> steps;
  for (const ProbeResult& result : run.read_probe_results(label, RunDirectory::ProbeData::leave_out))
    steps.insert(result.step);
  return steps;
}

bool is_due(const ConfiguredProbe& probe, int64_t step) {
  return probe.every == 0 || step % probe.every == 0;
}

// How many checkpoints have no result of `probe`.
size_t unmeasured(const RunDirectory& run, const ConfiguredProbe& probe) {
  const std::set<int64_t> there = steps_measured(run, probe.label);
  const std::vector<CheckpointFile> all = run.checkpoints();
  return static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const CheckpointFile& checkpoint) {
    return is_due(probe, checkpoint.step) && !there.count(checkpoint.step);
  }));
}

std::string at_checkpoints(const std::string& label, size_t n) {
  return fmt::format("results of {} at {} checkpoint{}", label, n, n == 1 ? "" : "s");
}

// "" if there is no such file.
std::string hash_of(const fs::path& file) {
  std::error_code ignored;
  return fs::exists(file, ignored) ? sha256_of_file(file) : "";
}

SweptResults::OfProbe hashes_of(const fs::path& run, const std::string& label) {
  const fs::path folder = run / "probes" / label;
  return {0, hash_of(folder / "results.jsonl"), hash_of(folder / "null.json"),
          hash_of(folder / "conclusion.json")};
}

// Byte for byte.
bool are_same(const SweptResults& then, const SweptResults& now) {
  return std::equal(then.probes.begin(), then.probes.end(), now.probes.begin(), now.probes.end(),
                    [](const auto& a, const auto& b) {
                      return a.first == b.first && a.second.sha256 == b.second.sha256 &&
                             a.second.null == b.second.null && a.second.conclusion == b.second.conclusion;
                    });
}

// Since its log says what there was.
void compare_probe(const RunDirectory& run, const ConfiguredProbe& probe, const SweptResults::OfProbe& then,
                   const SweptResults::OfProbe& now, std::vector<std::string>& lost, bool& can_be_made) {
  if (now.steps < then.steps) {
    lost.push_back(at_checkpoints(probe.label, then.steps - now.steps));
    can_be_made = can_be_made && then.steps - now.steps <= unmeasured(run, probe);
  }
  const auto compare = [&](const std::string& had, const std::string& has, const char* name) {
    if (had.empty() || !has.empty()) return;
    lost.push_back(fmt::format("the {} of {}", name, probe.label));
    can_be_made = can_be_made && !run.checkpoints().empty();
  };
  compare(then.null, now.null, "null");
  compare(then.conclusion, now.conclusion, "conclusion");
}

// Without it.
void compare_with_checkpoints(const RunDirectory& run, const ConfiguredProbe& probe, int64_t end,
                              std::vector<std::string>& lost, bool& can_be_made) {
  if (const size_t n = unmeasured(run, probe); n > 0) {
    lost.push_back(at_checkpoints(probe.label, n));
    return;
  }
  // Without checkpoints all that is certain is that a probe with results has one of the last step.
  std::error_code ignored;
  if (!run.checkpoints().empty() || !is_due(probe, end) ||
      !fs::exists(run.probe_folder(probe.label) / "results.jsonl", ignored) ||
      steps_measured(run, probe.label).count(end))
    return;
  lost.push_back(fmt::format("results of {} at step {}", probe.label, end));
  can_be_made = false;
}

// Results that have changed are those of a probe that was asked again since, of the checkpoints that are
// here; or of another run.
void refuse_results_of_other_run(const RunDirectory& run, const std::string& label, const SweptResults& then,
                                 const SweptResults::OfProbe& now) {
  const auto was = then.probes.find(label);
  if (was == then.probes.end() || was->second.sha256 == now.sha256 || now.steps < was->second.steps) return;
  const auto results = run.read_probe_results(label, RunDirectory::ProbeData::leave_out);
  const auto newest = std::find_if(results.rbegin(), results.rend(), [&](const ProbeResult& result) {
    std::error_code ignored;
    return fs::exists(run.checkpoint_path(result.step), ignored);
  });
  const std::string where = (run.probe_folder(label) / "results.jsonl").string();
  if (newest == results.rend()) throw Error(where + ": it is not what it was when this run was done");
  if (newest->provenance && newest->provenance->of != sha256_of_file(run.checkpoint_path(newest->step)))
    throw Error(
        fmt::format("{}: its result of step {} is not of the checkpoint that is here", where, newest->step));
}

}  // namespace

std::string SweptResults::text() const {
  Json object = {{"metrics", metrics_sha256}, {"probes", Json::object()}};
  for (const auto& [label, each] : probes)
    object["probes"][label] = {
        {"steps", each.steps}, {"sha256", each.sha256}, {"null", each.null}, {"conclusion", each.conclusion}};
  if (!run.empty()) object["run"] = run;
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<SweptResults> SweptResults::parse(const std::string& text) {
  try {
    const Json object = parse_object(text, "");
    SweptResults read{text_of(member(object, "metrics", ""), "metrics", "")};
    for (const auto& [label, each] : object_at(object, "probes", "").items())
      read.probes[label] = {static_cast<size_t>(integer_of(member(each, "steps", ""), "steps", "")),
                            text_in(each, "sha256"), text_in(each, "null"), text_in(each, "conclusion")};
    read.run = text_in(object, "run");
    return read;
  } catch (const Error&) {
    return std::nullopt;
  }
}

SweptResults read_swept_results(const fs::path& folder, const std::optional<SweptResults>& then) {
  const fs::path metrics = folder / "metrics.jsonl";
  SweptResults results{hash_of(metrics), {}, folder.filename().string()};
  if (then && !then->run.empty() && then->run != results.run)
    throw Error((folder / SweptLog::file_name).string() + ": it is of another run");
  if (then && results.metrics_sha256 != then->metrics_sha256)
    throw Error(metrics.string() + ": it is not what it was when this run was done");
  if (then) {
    SweptResults now{results.metrics_sha256, {}, results.run};
    for (const auto& [label, each] : then->probes) now.probes[label] = hashes_of(folder, label);
    if (are_same(*then, now)) return *then;
  }
  const RunDirectory run = RunDirectory::open(folder, RunDirectory::Access::read);
  if (run.claimed_metrics())
    run.check_metrics();
  else if (!then)
    run.read_metrics();
  for (const std::string& label : run.probe_labels()) {
    for (const RunLevelResult which : {RunLevelResult::null, RunLevelResult::conclusion})
      run.read_run_level(label, which, RunDirectory::ProbeData::leave_out);
    results.probes[label] = hashes_of(folder, label);
    results.probes[label].steps = steps_measured(run, label).size();
    if (then) refuse_results_of_other_run(run, label, *then, results.probes[label]);
  }
  return results;
}

LostResults lost_results(const fs::path& folder, const RunJson& info, const SweptResults& now,
                         const std::optional<SweptResults>& then, bool may_lack) {
  LostResults found;
  if (then && are_same(*then, now)) return found;
  const RunDirectory run = RunDirectory::open(folder, RunDirectory::Access::read);
  std::vector<std::string> lost;
  const int64_t end = info.sessions.empty() ? 0 : info.sessions.back().to.value_or(0);
  for (const ConfiguredProbe& probe : info.probes()) {
    const auto of = [&](const SweptResults& results) {
      const auto known = results.probes.find(probe.label);
      return known == results.probes.end() ? SweptResults::OfProbe{} : known->second;
    };
    if (then)
      compare_probe(run, probe, of(*then), of(now), lost, found.can_be_made);
    else if (!may_lack)
      compare_with_checkpoints(run, probe, end, lost, found.can_be_made);
  }
  found.what = fmt::format("{}", fmt::join(lost, ", "));
  return found;
}

}  // namespace orrery::engine
