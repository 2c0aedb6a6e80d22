#include "engine/sweep/swept_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "engine/config/sweep_claim.h"
#include "engine/inspect/listing.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_json.h"
#include "engine/run/run_lock.h"
#include "engine/sweep/swept_log.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

struct Place {
  fs::path run, lock;
};
Place place_in(const fs::path& sweep, const std::string& id) {
  return {sweep / "runs" / id, sweep / "locks" / id};
}

// Reads everything that the table of a sweep may be made of. Throws Error where it is damaged.
void check_readings(const fs::path& folder, const RunSummary& seen) {
  const RunDirectory run = RunDirectory::open(folder, RunDirectory::Access::read);
  if (run.claimed_metrics())
    run.check_metrics();
  else
    run.read_metrics();
  for (const std::string& label : run.probe_labels()) {
    run.read_probe_results(label, RunDirectory::ProbeData::leave_out);
    for (const RunLevelResult which : {RunLevelResult::null, RunLevelResult::conclusion})
      run.read_run_level(label, which, RunDirectory::ProbeData::leave_out);
  }
  const std::vector<SessionInfo>& sessions = seen.info->sessions;
  const int64_t end = sessions.empty() ? 0 : sessions.back().to.value_or(0);
  if (seen.state == RunState::finished && (!seen.last || seen.last->step < end))
    throw Error(fmt::format("{}: it ends at step {}, the run at step {}", (folder / "metrics.jsonl").string(),
                            seen.last ? seen.last->step : 0, end));
}

// Whether a probe lacks a result at a checkpoint at which it is due.
bool lacks_results(const fs::path& folder, const RunSummary& seen) {
  const RunDirectory run = RunDirectory::open(folder, RunDirectory::Access::read);
  for (const ConfiguredProbe& probe : seen.info->probes()) {
    std::set<int64_t> there;
    for (const ProbeResult& result : run.read_probe_results(probe.label, RunDirectory::ProbeData::leave_out))
      there.insert(result.step);
    for (const CheckpointFile& checkpoint : run.checkpoints())
      if ((probe.every == 0 || checkpoint.step % probe.every == 0) && !there.count(checkpoint.step))
        return true;
  }
  return false;
}

SweptState state_from(const fs::path& folder, const RunSummary& seen, const LastLine& log) {
  if (seen.state == RunState::training) return SweptState::running;
  if (seen.state == RunState::damaged) return SweptState::damaged;
  check_readings(folder, seen);
  if (seen.state == RunState::diverged || log.end == LoggedEnd::failed) return SweptState::failed;
  if (seen.state == RunState::interrupted) return SweptState::stale;
  // Trained to the end; a run of a sweep that does not say so was killed before its probes were done, and one
  // of `orrery train`, which keeps no log of this kind, if results are missing.
  if (log.end == LoggedEnd::nothing) return SweptState::stale;
  return log.end == LoggedEnd::none && lacks_results(folder, seen) ? SweptState::stale : SweptState::done;
}

void read_state(const Place& place, const LastLine& log, SweptStatus& status) {
  const RunSummary seen = list_run(place.run);
  status.step = seen.step;
  status.diverged = seen.state == RunState::diverged;
  status.error = seen.damage;
  if (seen.info) {
    status.n_parameters = seen.info->n_parameters.value_or(0);
    for (const SessionInfo& session : seen.info->sessions) status.seconds += session.seconds.value_or(0);
  }
  try {
    status.state = state_from(place.run, seen, log);
    if (status.diverged)
      status.error = fmt::format("the loss became NaN or infinite after step {}", seen.step);
    else if (status.state == SweptState::failed)
      status.error = log.error;
  } catch (const Error& error) {
    status.state = SweptState::damaged;
    status.error = error.what();
  }
  if (status.state != SweptState::damaged) return;
  status.error = first_line(status.error);
  status.diverged = false;
  try {
    refuse_unreadable(place.run);
  } catch (const Error& error) {
    status.state = SweptState::failed;
    status.error = error.what();
  }
}

// Of a run, whatever it starts from and whoever works on it.
SweptStatus status_in(const Place& place) {
  const LastLine log = read_swept_log(place.run);
  SweptStatus status;
  std::error_code ignored;
  if (fs::exists(place.run / "run.json", ignored)) {
    read_state(place, log, status);
  } else if (log.end == LoggedEnd::failed) {
    status.state = SweptState::failed;
    status.error = log.error;
  }
  return status;
}

// Of a run, whatever it starts from.
SweptStatus status_at(const Place& place) {
  SweptStatus status = status_in(place);
  if (status.state != SweptState::done && (RunLock::is_held(place.lock) || RunLock::is_held(place.run))) {
    status.state = SweptState::running;
    status.error.clear();
  }
  return status;
}

bool has_checkpoints(const fs::path& run) {
  std::error_code ignored;
  for (fs::directory_iterator at(run / "checkpoints", ignored), end; !ignored && at != end;
       at.increment(ignored))
    if (at->path().extension() == ".safetensors") return true;
  return false;
}

StartNow never(std::string why) { return {StartNow::Kind::never, std::move(why)}; }

// The first step of a run whose metrics meet the condition of `rule`.
std::optional<int64_t> first_step(const RunDirectory& run, const StartRule& rule) {
  for (const MetricsRow& row : run.read_metrics())
    if (rule.condition.holds(std::map<std::string, double>(row.values.begin(), row.values.end())))
      return row.step;
  return std::nullopt;
}

// The checkpoint of a run that is done.
StartNow checkpoint_in(const fs::path& folder, const StartRule& rule, const std::string& who) {
  const RunDirectory run = RunDirectory::open(folder, RunDirectory::Access::read);
  const std::vector<CheckpointFile> there = run.checkpoints();
  if (there.empty()) return never(who + " keeps no checkpoint");
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

// As start_now(), given the state of the run it starts from.
StartNow start_after(const SweepPlan& plan, const SweptRun& run, const SweptStatus& parent) {
  const SweepStart& start = *run.start;
  const bool here = start.sweep.empty();
  std::string who = "run " + start.run;
  if (!start.stage.empty()) who += " of stage " + start.stage;
  if (!here) who += " in " + start.sweep.string();
  switch (parent.state) {
    case SweptState::done:
      return checkpoint_in(place_in(here ? plan.folder : start.sweep, start.run).run, start.rule, who);
    case SweptState::failed:
    case SweptState::blocked:
      return never(fmt::format("{} is {}: {}", who, to_string(parent.state), parent.error));
    default:
      return {StartNow::Kind::waiting,
              fmt::format("{} is {}{}", who, to_string(parent.state),
                          here ? "" : "; orrery sweep run makes it, of that sweep's file")};
  }
}

// How the config of the run in `folder` differs from the keys and the seed of `run`; "" if it does not.
std::string differing_key(const SweepPlan& plan, const SweptRun& run, const fs::path& folder) {
  std::vector<Override> wanted = run.point.keys;
  if (run.point.seed)
    for (const std::string& key : plan.file.seeds_of) wanted.push_back({key, *run.point.seed, ""});
  const Json config = read_run_json(folder).config;
  for (const Override& each : wanted)
    if (const auto is = value_in(config, each.key); is && !same_value(*is, each.value))
      return fmt::format("{}: {} is {}, and the sweep has {} for this run", (folder / "run.json").string(),
                         each.key, orrery::to_string(*is), orrery::to_string(each.value));
  return "";
}

// What stands in the folder of `run` may be another run.
void look_at_config(const SweepPlan& plan, const SweptRun& run, SweptStatus& status) {
  if (status.state != SweptState::done && status.state != SweptState::stale) return;
  const std::string differs = differing_key(plan, run, plan.run_folder(run));
  if (differs.empty()) return;
  status.state = SweptState::damaged;
  status.error = differs;
}

// Of a run whose start, if any, is in this state.
SweptStatus status_after(const SweepPlan& plan, const SweptRun& run, const SweptStatus* parent) {
  SweptStatus status = status_at({plan.run_folder(run), plan.lock_folder(run)});
  look_at_config(plan, run, status);
  if (status.state == SweptState::done)
    status.kept_less = plan.keep_of(run) != Keep::none && !has_checkpoints(plan.run_folder(run));
  if (!parent || status.state != SweptState::missing) return status;
  const StartNow now = start_after(plan, run, *parent);
  if (now.kind == StartNow::Kind::never) {
    status.state = SweptState::blocked;
    status.error = now.why;
  } else {
    status.waits = now.why;
  }
  return status;
}

SweptStatus parent_status(const SweepPlan& plan, const SweptRun& run) {
  const SweepStart& start = *run.start;
  if (!start.sweep.empty()) return status_at(place_in(start.sweep, start.run));
  if (const SweptRun* parent = plan.find(start.run)) return status_of(plan, *parent);
  return status_at(place_in(plan.folder, start.run));
}

}  // namespace

std::string to_string(SweptState state) {
  switch (state) {
    case SweptState::missing:
      return "missing";
    case SweptState::running:
      return "running";
    case SweptState::stale:
      return "stale";
    case SweptState::done:
      return "done";
    case SweptState::failed:
      return "failed";
    case SweptState::damaged:
      return "damaged";
    case SweptState::blocked:
      return "blocked";
  }
  return "unknown";
}

const std::vector<SweptState>& swept_states() {
  static const std::vector<SweptState> all = {SweptState::done,    SweptState::running, SweptState::stale,
                                              SweptState::missing, SweptState::blocked, SweptState::damaged,
                                              SweptState::failed};
  return all;
}

SweptStatus status_of(const SweepPlan& plan, const SweptRun& run) {
  if (!run.start) return status_after(plan, run, nullptr);
  const SweptStatus parent = parent_status(plan, run);
  return status_after(plan, run, &parent);
}

std::vector<SweptStatus> status_of(const SweepPlan& plan) {
  std::vector<SweptStatus> all;
  std::map<std::string, SweptStatus> known;  // by folder and id: many runs start from one
  for (const SweptRun& run : plan.runs) {
    const SweptStatus* parent = nullptr;
    if (run.start) {
      const std::string key = run.start->sweep.string() + "/" + run.start->run;
      if (!known.count(key)) known[key] = parent_status(plan, run);
      parent = &known.at(key);
    }
    all.push_back(status_after(plan, run, parent));
    known["/" + run.id] = all.back();
  }
  return all;
}

SweptStatus status_when_claimed(const SweepPlan& plan, const SweptRun& run) {
  SweptStatus status = status_in({plan.run_folder(run), plan.lock_folder(run)});
  look_at_config(plan, run, status);
  return status;
}

StartNow start_now(const SweepPlan& plan, const SweptRun& run) {
  return start_after(plan, run, parent_status(plan, run));
}

void refuse_unreadable(const fs::path& folder) {
  const auto look = [](const fs::path& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    char byte = 0;
    const bool is_gone = !file.is_open() && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP);
    if (is_gone || (file.is_open() && (::read(file.get(), &byte, 1) >= 0 || errno == EISDIR))) return;
    throw Error(
        fmt::format("{}: cannot read this: {}", path.string(), std::strerror(errno)),
        "nothing of the run was changed; see to the permissions or the disk, and run the sweep again");
  };
  for (const char* name : {"", "run.json", "metrics.jsonl", "checkpoints", "probes"}) look(folder / name);
  std::error_code failure;
  for (fs::recursive_directory_iterator at(folder, failure), end; !failure && at != end;
       at.increment(failure))
    look(at->path());
  if (failure)
    throw Error(fmt::format("{}: cannot list this folder: {}", folder.string(), failure.message()));
}

std::string indices_text(const std::vector<size_t>& indices) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < indices.size();) {
    size_t end = i + 1;
    while (end < indices.size() && indices[end] == indices[end - 1] + 1) ++end;
    parts.push_back(end - i == 1 ? fmt::format("{}", indices[i])
                                 : fmt::format("{}-{}", indices[i], indices[end - 1]));
    i = end;
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

}  // namespace orrery::engine
