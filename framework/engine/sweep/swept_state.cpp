#include "engine/sweep/swept_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/inspect/listing.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_identity.h"
#include "engine/run/run_lock.h"
#include "engine/sweep/swept_config.h"
#include "engine/sweep/swept_log.h"
#include "engine/sweep/swept_results.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

struct Place {
  fs::path run, lock;
};
// The run that is to be there, if that is known.
struct Planned {
  const SweepPlan* plan = nullptr;
  const SweptRun* run = nullptr;
};

Place place_in(const fs::path& sweep, const std::string& id) {
  return {sweep / "runs" / id, sweep / "locks" / id};
}

// Throws Error for damage, and for the run of another config.
SweptState state_from(const Place& place, const RunSummary& seen, const LastLine& log, const Planned& planned,
                      SweptStatus& status) {
  if (seen.state == RunState::training) return SweptState::running;
  if (seen.state == RunState::damaged) return SweptState::damaged;
  if (planned.run)
    if (const std::string other = other_run(*planned.plan, *planned.run, seen.info->config); !other.empty())
      throw Error(other);
  if (const auto all = RunDirectory::inspect(place.run).checkpoints(); !all.empty())
    refuse_file_of_other_run(all.back().path, place.run);
  const std::vector<SessionInfo>& sessions = seen.info->sessions;
  const int64_t end = sessions.empty() ? 0 : sessions.back().to.value_or(0);
  if (seen.state == RunState::finished && (!seen.last || seen.last->step < end))
    throw Error(fmt::format("{}: it ends at step {}, the run at step {}",
                            (place.run / "metrics.jsonl").string(), seen.last ? seen.last->step : 0, end));
  const auto then = SweptResults::parse(log.holds);
  const SweptResults now = read_swept_results(place.run, then);
  if (seen.state == RunState::diverged || log.end == LoggedEnd::failed) return SweptState::failed;
  if (seen.state == RunState::interrupted) return SweptState::stale;
  // Trained to the end; a run of a sweep that does not say so was killed before its probes were done, and one
  // of `orrery train`, which keeps no log of this kind, if results are missing.
  if (log.end == LoggedEnd::nothing) return SweptState::stale;
  const LostResults lost = lost_results(place.run, *seen.info, now, then, log.warned);
  if (lost.what.empty()) return SweptState::done;
  if (!lost.can_be_made)
    throw Error(fmt::format("{}: it has lost {}, and keeps no checkpoint to make them from",
                            (place.run / "probes").string(), lost.what));
  if (log.end == LoggedEnd::done) status.lost = lost.what;
  return SweptState::stale;
}

void read_state(const Place& place, const LastLine& log, const Planned& planned, SweptStatus& status) {
  const RunSummary seen = list_run(place.run);
  status.step = seen.step;
  status.diverged = seen.state == RunState::diverged;
  status.error = seen.damage;
  if (seen.info) {
    status.n_parameters = seen.info->n_parameters.value_or(0);
    status.has_test_set = seen.info->n_test != 0;
    for (const SessionInfo& session : seen.info->sessions) status.seconds += session.seconds.value_or(0);
  }
  try {
    status.state = state_from(place, seen, log, planned, status);
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
SweptStatus status_in(const Place& place, const Planned& planned) {
  const LastLine log = read_swept_log(place.run);
  SweptStatus status;
  std::error_code ignored;
  if (fs::exists(place.run / "run.json", ignored)) {
    read_state(place, log, planned, status);
  } else if (log.end == LoggedEnd::failed) {
    status.state = SweptState::failed;
    status.error = log.error;
  }
  return status;
}

// Of a run, whatever it starts from.
SweptStatus status_at(const Place& place, const Planned& planned) {
  SweptStatus status = status_in(place, planned);
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

// As start_now(), given the state of the run it starts from.
StartNow start_after(const SweepPlan& plan, const SweptRun& run, const SweptStatus& parent) {
  const SweepStart& start = *run.start;
  const bool here = start.sweep.empty();
  const std::string who = who_is(start);
  const auto never = [](std::string why) { return StartNow{StartNow::Kind::never, std::move(why)}; };
  switch (parent.state) {
    case SweptState::done: {
      const fs::path folder = place_in(here ? plan.folder : start.sweep, start.run).run;
      const StartNow now = checkpoint_in(folder, start.rule, who);
      if (here || now.kind != StartNow::Kind::ready) return now;
      // Of this sweep, a run with such a checkpoint is damaged.
      const std::string damage = damage_of(now.checkpoint);
      return damage.empty() ? now
                            : never(fmt::format("{} is damaged ({}); to make it anew delete {} and run that "
                                                "sweep again: orrery sweep run FILE",
                                                who, damage, folder.string()));
    }
    case SweptState::failed:
    case SweptState::blocked:
      return never(fmt::format("{} is {}: {}", who, to_string(parent.state), parent.error));
    case SweptState::damaged:
      return {StartNow::Kind::waiting, fmt::format("{} is damaged ({}); orrery sweep run makes it anew{}",
                                                   who, parent.error, here ? "" : ", of that sweep's file")};
    default:
      return {StartNow::Kind::waiting,
              fmt::format("{} is {}{}", who, to_string(parent.state),
                          here ? "" : "; orrery sweep run makes it, of that sweep's file")};
  }
}

// The runs of the plan that start from each of its runs, by id.
using Starting = std::map<std::string, std::vector<const SweptRun*>>;
Starting starting_from(const SweepPlan& plan) {
  Starting found;
  for (const SweptRun& run : plan.runs)
    if (run.start && run.start->sweep.empty()) found[run.start->run].push_back(&run);
  return found;
}

// A run whose checkpoint others wait for is not done if nobody can start from it.
void look_at_starts(const SweepPlan& plan, const SweptRun& run, const Starting& starting,
                    SweptStatus& status) {
  if (status.state != SweptState::done) return;
  const auto others = starting.find(run.id);
  if (others == starting.end()) return;
  const std::string damage = damage_to_starts(plan, run, others->second);
  if (damage.empty()) return;
  status.state = SweptState::damaged;
  status.error = damage;
}

// Of a run whose start, if any, is in this state.
SweptStatus status_after(const SweepPlan& plan, const SweptRun& run, const Starting& starting,
                         const SweptStatus* parent) {
  SweptStatus status = status_at({plan.run_folder(run), plan.lock_folder(run)}, {&plan, &run});
  look_at_starts(plan, run, starting, status);
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

// Of the run that `run` starts from, if that is of another sweep.
SweptStatus status_elsewhere(const SweepPlan& plan, const SweepStart& start) {
  const Place place = place_in(start.sweep, start.run);
  const auto other = plan.others.find(start.sweep.string());
  if (other == plan.others.end() || !other->second) return status_at(place, {});
  return status_at(place, {other->second.get(), other->second->find(start.run)});
}

SweptStatus parent_status(const SweepPlan& plan, const SweptRun& run) {
  const SweepStart& start = *run.start;
  if (!start.sweep.empty()) return status_elsewhere(plan, start);
  if (const SweptRun* parent = plan.find(start.run)) return status_of(plan, *parent);
  return status_at(place_in(plan.folder, start.run), {});
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
  const Starting starting = starting_from(plan);
  if (!run.start) return status_after(plan, run, starting, nullptr);
  const SweptStatus parent = parent_status(plan, run);
  return status_after(plan, run, starting, &parent);
}

std::vector<SweptStatus> status_of(const SweepPlan& plan) {
  std::vector<SweptStatus> all;
  std::map<std::string, SweptStatus> known;  // by folder and id: many runs start from one
  const Starting starting = starting_from(plan);
  for (const SweptRun& run : plan.runs) {
    const SweptStatus* parent = nullptr;
    if (run.start) {
      const std::string key = run.start->sweep.string() + "/" + run.start->run;
      if (!known.count(key)) known[key] = parent_status(plan, run);
      parent = &known.at(key);
    }
    all.push_back(status_after(plan, run, starting, parent));
    known["/" + run.id] = all.back();
  }
  return all;
}

SweptStatus status_when_claimed(const SweepPlan& plan, const SweptRun& run) {
  SweptStatus status = status_in({plan.run_folder(run), plan.lock_folder(run)}, {&plan, &run});
  look_at_starts(plan, run, starting_from(plan), status);
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
