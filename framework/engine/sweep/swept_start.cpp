#include "engine/sweep/swept_start.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/inspect/listing.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_identity.h"
#include "engine/sweep/swept_log.h"
#include "sdk/files/safetensors.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

StartNow never(std::string why) { return {StartNow::Kind::never, std::move(why)}; }

// The first step of a run whose metrics meet the condition of `rule`.
std::optional<int64_t> first_step(const RunDirectory& run, const StartRule& rule) {
  for (const MetricsRow& row : run.read_metrics())
    if (rule.condition.holds(std::map<std::string, double>(row.values.begin(), row.values.end())))
      return row.step;
  return std::nullopt;
}

}  // namespace

StartNow checkpoint_in(const fs::path& folder, const StartRule& rule, const std::string& who) {
  const RunDirectory run = RunDirectory::open(folder, RunDirectory::Access::read);
  const std::vector<CheckpointFile> there = run.checkpoints();
  if (there.empty())
    return never(fmt::format("{} keeps no checkpoint; delete {}, and it is made anew with them", who,
                             folder.string()));
  if (rule.kind == StartRule::Kind::last) {
    const RunSummary seen = list_run(folder);
    if (there.back().step == seen.step) return {StartNow::Kind::ready, "", there.back().path};
    return never(
        fmt::format("{} has lost the checkpoint of its last step, {}; delete {}, and it is made anew", who,
                    seen.step, folder.string()));
  }
  int64_t from = rule.step;
  if (rule.kind == StartRule::Kind::first) {
    const auto step = first_step(run, rule);
    if (!step) return never(fmt::format("{} never came to {}", who, rule.text));
    from = *step;
  }
  const auto found =
      std::find_if(there.begin(), there.end(), [&](const CheckpointFile& each) { return each.step >= from; });
  if (found == there.end() || (rule.kind == StartRule::Kind::step && found->step != from))
    return never(fmt::format("{} keeps no checkpoint {} step {}", who,
                             rule.kind == StartRule::Kind::step ? "of" : "at or after", from));
  return {StartNow::Kind::ready, "", found->path};
}

std::string damage_of(const fs::path& checkpoint) {
  try {
    safetensors::File whole(checkpoint);
    refuse_file_of_other_run(checkpoint, checkpoint.parent_path().parent_path());
    return "";
  } catch (const Error& error) {
    return first_line(error.what());
  }
}

std::string damage_to_starts(const SweepPlan& plan, const SweptRun& run,
                             const std::vector<const SweptRun*>& others) {
  std::set<std::string> seen;
  for (const SweptRun* other : others) {
    std::error_code ignored;
    if (fs::exists(plan.run_folder(*other) / "run.json", ignored)) continue;
    if (!seen.insert(other->start->rule.text).second) continue;
    const StartNow start = checkpoint_in(plan.run_folder(run), other->start->rule, "");
    if (start.kind != StartNow::Kind::ready) continue;
    if (std::string damage = damage_of(start.checkpoint); !damage.empty()) return damage;
  }
  return "";
}

std::string who_is(const SweepStart& start) {
  std::string who = "run " + start.run;
  if (!start.stage.empty()) who += " of stage " + start.stage;
  if (!start.sweep.empty()) who += " in " + start.sweep.string();
  return who;
}

}  // namespace orrery::engine
