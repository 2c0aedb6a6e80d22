#include "engine/prune/prune.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <set>

#include "engine/config/parse_text.h"
#include "engine/experiment/open_run.h"
#include "engine/inspect/run_state.h"
#include "engine/run/json_write.h"
#include "engine/run/run_json.h"
#include "engine/train/kept.h"
#include "sdk/files/safetensors.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

void require_ended(const RunDirectory& run, const RunJson& info) {
  const RunState state = state_of(info, false);
  if (state != RunState::interrupted && state != RunState::training) return;
  throw UsageError(
      fmt::format("{}: its training has not ended", run.root().string()),
      fmt::format("go on with it first, or thin it while it trains: orrery train --resume {} --set "
                  "checkpoints.keep_last=N",
                  run.root().string()));
}

// "first/checkpoints/step_00000010.safetensors" names a checkpoint of the run first/, wherever that was then.
bool names(const fs::path& from, const fs::path& run, int64_t step) {
  const fs::path file = fs::path(RunDirectory::checkpoint_name(step)).filename();
  std::error_code ignored;
  const fs::path real = fs::weakly_canonical(from, ignored);  // through links, if it is still there
  if (real == run / "checkpoints" / file) return true;
  return from.filename() == file && from.parent_path().filename() == "checkpoints" &&
         from.parent_path().parent_path().filename() == run.filename();
}

// Of the runs in the folder that holds `run`.
std::vector<NeededElsewhere> needs_of_others(const RunDirectory& run, const std::vector<int64_t>& there) {
  std::vector<NeededElsewhere> needed;
  std::error_code failure;
  const fs::path own = fs::weakly_canonical(run.root(), failure);
  std::vector<fs::path> others;
  for (fs::directory_iterator at(own.parent_path(), failure), end; !failure && at != end;
       at.increment(failure))
    others.push_back(at->path());
  std::sort(others.begin(), others.end());
  for (const fs::path& other : others) try {
      if (other == own || !fs::exists(other / "run.json", failure)) continue;
      const Json config = read_run_json(other).config;
      const auto init = config.find("init");
      if (init == config.end() || !init->is_object()) continue;
      for (const int64_t step : there)
        if (names(text_in(*init, "from"), own, step))
          needed.push_back({step, run.root().parent_path() / other.filename()});
    } catch (const Error& error) {
      throw Error(
          fmt::format("{}; so what it starts from is not known, and nothing is deleted", error.what()),
          fmt::format("mend or move {} first", other.string()));
    }
  return needed;
}

KeepRule rule_of(const RunDirectory& run, const RunJson& info, const PruneChoices& choices,
                 const std::vector<int64_t>& there) {
  KeepRule rule{choices.keep_last.value_or(1), choices.every, {}};
  if (const auto probes = info.config.find("probe"); probes != info.config.end() && probes->is_array())
    for (const Json& probe : *probes)
      if (const std::string reference = text_in(probe, "reference"); reference.starts_with("step:"))
        if (const auto step = parse_integer(reference.substr(5))) rule.marked.insert(*step);
  if (const auto step = run.resumable_step()) rule.marked.insert(*step);
  try {
    rule.marked.insert(grokked_step(run, there, "grokked"));
  } catch (const UsageError&) {  // it did not
  }
  return rule;
}

CheckpointSchedule schedule_of(const RunJson& info) {
  int64_t per_decade = 0;
  const auto table = info.config.find("checkpoints");
  if (table != info.config.end() && table->is_object())
    if (const auto found = table->find("per_decade"); found != table->end() && found->is_number_integer())
      per_decade = found->get<int64_t>();
  return {{.every = 0, .per_decade = std::clamp<int64_t>(per_decade, 0, 1000)},
          std::max<int64_t>(info.steps(), 0)};
}

std::optional<Error> damage_in(const fs::path& file) {
  try {
    safetensors::File{file};  // reads it all
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
}

// Of those that would go, the nearest to `step` that is whole.
std::optional<int64_t> stand_in(const RunDirectory& run, std::vector<int64_t> going, int64_t step) {
  std::stable_sort(going.begin(), going.end(),
                   [&](int64_t a, int64_t b) { return std::abs(a - step) < std::abs(b - step); });
  for (const int64_t other : going)
    if (!damage_in(run.checkpoint_path(other))) return other;
  return std::nullopt;
}

// A damaged checkpoint is no reason to delete a whole one.
std::vector<DamagedCheckpoint> keep_stand_ins(const RunDirectory& run, const std::vector<int64_t>& there,
                                              std::set<int64_t>& kept) {
  std::vector<DamagedCheckpoint> damaged;
  for (const int64_t step : std::set(kept)) {
    if (const auto error = damage_in(run.checkpoint_path(step))) {
      std::vector<int64_t> going;
      std::set_difference(there.begin(), there.end(), kept.begin(), kept.end(), std::back_inserter(going));
      const auto instead = stand_in(run, going, step);
      if (instead) kept.insert(*instead);
      damaged.push_back({step, error->what(), error->hint(), instead});
    } else if (std::error_code ignored; fs::exists(run.state_path(step), ignored)) {
      if (const auto of_state = damage_in(run.state_path(step)))
        damaged.push_back({step, of_state->what(), of_state->hint(), std::nullopt});
    }
  }
  return damaged;
}

std::map<std::string, int64_t> unmeasured(const RunDirectory& run, const RunJson& info,
                                          const std::vector<int64_t>& gone) {
  std::map<std::string, int64_t> lacking;
  for (const ConfiguredProbe& probe : info.probes()) {
    std::set<int64_t> measured;
    for (const ProbeResult& result : run.read_probe_results(probe.label, RunDirectory::ProbeData::leave_out))
      measured.insert(result.step);
    for (const int64_t step : gone)
      if ((probe.every <= 0 || step % probe.every == 0) && !measured.contains(step)) ++lacking[probe.label];
  }
  return lacking;
}

}  // namespace

PrunePlan plan_prune(const RunDirectory& run, const PruneChoices& choices) {
  if (!choices.keep_last && choices.every == 0)
    throw UsageError("say which checkpoints to keep: --keep-last N, --every K, or both",
                     "the first and the last always stay; --dry-run shows what would go");
  const RunJson info = read_run_json(run.root());
  require_ended(run, info);
  std::vector<int64_t> there;
  for (const CheckpointFile& checkpoint : run.checkpoints()) there.push_back(checkpoint.step);
  PrunePlan plan;
  plan.needed = needs_of_others(run, there);
  KeepRule rule = rule_of(run, info, choices, there);
  for (const NeededElsewhere& each : plan.needed) rule.marked.insert(each.step);
  std::set<int64_t> kept = kept_steps(there, rule, schedule_of(info));
  plan.damaged = keep_stand_ins(run, there, kept);
  for (const int64_t step : there) (kept.contains(step) ? plan.kept : plan.gone).push_back(step);
  for (const int64_t step : plan.gone)
    for (const fs::path& file : {run.checkpoint_path(step), run.state_path(step)}) {
      std::error_code missing;
      const uintmax_t size = fs::file_size(file, missing);
      if (!missing) plan.bytes += size;
    }
  plan.unmeasured = unmeasured(run, info, plan.gone);
  return plan;
}

void prune(RunDirectory& run, const PrunePlan& plan) {
  if (plan.gone.empty()) return;
  Json about = parse_checked_object(run.read_run_json(), (run.root() / "run.json").string());
  if (!about.contains("pruned") || !about["pruned"].is_array()) about["pruned"] = Json::array();
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  about["pruned"].push_back(
      {{"when", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now))}, {"steps", plan.gone}});
  run.write_run_json(with_checksum(about).dump(2) + "\n");
  for (const int64_t step : plan.gone) run.drop_weights(step);
}

}  // namespace orrery::engine
