#include "engine/sweep/sweep_run.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "engine/replicas/in_turns.h"
#include "engine/sweep/sweep_check.h"
#include "engine/sweep/swept_state.h"
#include "engine/sweep/swept_worker.h"
#include "loader/processes/ending.h"
#include "loader/processes/supervisor.h"

namespace orrery::engine {
namespace {

// "60303ae22b99 (train.lr = 0.1, seed 3)".
std::string named(const SweptRun& run) {
  const std::string point = point_text(run.point);
  return run.id + (point.empty() ? "" : " (" + point + ")");
}

// Whether a run that is not done has its first step before it, perhaps anew.
bool begins(const SweepPlan& plan, const SweptRun& run, SweptState state) {
  std::error_code ignored;
  return state == SweptState::missing || state == SweptState::blocked || state == SweptState::damaged ||
         (state == SweptState::failed &&
          !std::filesystem::exists(plan.run_folder(run) / "run.json", ignored));
}

class SweepRunner {
 public:
  SweepRunner(const Registry& registry, const SweepPlan& plan, const SweepChoice& choice, Reporter& reporter)
      : registry_(registry),
        plan_(plan),
        jobs_(static_cast<size_t>(std::max(choice.jobs, 1))),
        replicas_(static_cast<size_t>(std::max(choice.replicas, 0))),
        chosen_(choice.indices),
        reporter_(reporter),
        supervisor_({.on_message = [this](Supervisor::Id id, const std::string& text) { heard(id, text); },
                     .on_end = [this](Supervisor::Id id, int status, bool) { ended(id, status); }}) {}

  SweepEnding run();

 private:
  struct Member {
    const SweptRun* run;
    int64_t step = 0;
    bool told = false;  // what became of it
  };
  using Worker = std::vector<Member>;

  void look();
  void release();
  bool is_being_made(const std::string& id) const;
  bool is_chosen(size_t index) const { return chosen_.empty() || chosen_.count(index) > 0; }
  void block(const SweptRun& run, const std::string& why);
  void sort_longest_first();
  std::vector<const SweptRun*> next_runs();
  void dispatch();
  void heard(Supervisor::Id id, const std::string& text);
  void ended(Supervisor::Id id, int status);
  void finish(const SweptRun& run);
  void fail(const SweptRun& run, const std::string& what);
  void look_again();
  void show();
  static int64_t steps_of(const SweptRun& run) { return run.settings->train.steps; }

  const Registry& registry_;
  const SweepPlan& plan_;
  size_t jobs_, replicas_;
  const std::set<size_t>& chosen_;
  Reporter& reporter_;
  Supervisor supervisor_;
  std::deque<const SweptRun*> queue_;
  std::vector<const SweptRun*> elsewhere_;  // another process works on them
  std::vector<const SweptRun*> waiting_;    // for the runs that they start from
  std::map<Supervisor::Id, Worker> workers_;
  std::set<const SweptRun*> alone_;  // no replicas: the process that they shared with others crashed
  std::unique_ptr<Progress> progress_;
  int64_t steps_done_ = 0;
  bool changed_ = true;  // a run ended, so that others may start
  SweepEnding ending_;
};

// What is left to do. Reports what failed for good.
void SweepRunner::look() {
  const std::vector<SweptStatus> states = status_of(plan_);
  size_t damaged = 0, stale = 0, lost = 0, kept_less = 0;
  for (size_t i = 0; i < states.size(); ++i) {
    const SweptRun& run = plan_.runs[i];
    const SweptStatus& status = states[i];
    if (!is_chosen(i)) {
      ending_.done += status.state == SweptState::done;
      continue;
    }
    damaged += status.state == SweptState::damaged;
    stale += status.state == SweptState::stale && status.lost.empty();
    lost += !status.lost.empty();
    kept_less += status.kept_less;
    if (status.state == SweptState::done)
      ++ending_.done;
    else if (status.diverged)
      fail(run, status.error);
    else if (run.start && begins(plan_, run, status.state))
      waiting_.push_back(&run);
    else
      queue_.push_back(&run);
  }
  if (damaged > 0)
    reporter_.note(fmt::format("{} of {} runs damaged: set aside and made anew", damaged, states.size()));
  if (stale > 0)
    reporter_.note(
        fmt::format("{} of {} runs stopped or killed before their end, and held by no process now: "
                    "going on with them",
                    stale, states.size()));
  if (lost > 0)
    reporter_.note(fmt::format(
        "{} of {} runs have lost results of probes since they were done: asking their probes again", lost,
        states.size()));
  if (kept_less > 0)
    reporter_.warning(fmt::format("{} of {} runs are done but keep no checkpoints, as keep = \"none\" had it",
                                  kept_less, states.size()),
                      "if you need their checkpoints, delete their folders and run the sweep again; `sweep "
                      "status` names them");
}

// Queues the waiting runs whose start is there by now, and gives up those whose start will never be.
void SweepRunner::release() {
  std::vector<const SweptRun*> still;
  std::map<std::string, StartNow> known;  // many start from one
  for (const SweptRun* run : waiting_) {
    const std::string from = run->start->sweep.string() + "/" + run->start->run + "/" + run->start->rule.text;
    if (!known.count(from)) known[from] = start_now(plan_, *run);
    const StartNow& now = known.at(from);
    if (now.kind == StartNow::Kind::ready)
      queue_.push_back(run);
    else if (now.kind == StartNow::Kind::waiting || is_being_made(run->start->run))
      still.push_back(run);
    else
      block(*run, now.why);
  }
  waiting_ = std::move(still);
}

// Whether this process may yet make the run `id`, whatever its folder says now: a failed one is tried again.
bool SweepRunner::is_being_made(const std::string& id) const {
  const auto is = [&](const SweptRun* run) { return run->id == id; };
  return std::any_of(queue_.begin(), queue_.end(), is) || std::any_of(waiting_.begin(), waiting_.end(), is) ||
         std::any_of(workers_.begin(), workers_.end(), [&](const auto& each) {
           const Worker& worker = each.second;
           return std::any_of(worker.begin(), worker.end(),
                              [&](const Member& member) { return !member.told && is(member.run); });
         });
}

void SweepRunner::block(const SweptRun& run, const std::string& why) {
  ++ending_.blocked;
  steps_done_ += steps_of(run);
  reporter_.warning(fmt::format("{} cannot start: {}", named(run), why));
}

void SweepRunner::sort_longest_first() {
  std::vector<const SweptRun*> left(queue_.begin(), queue_.end());
  left.insert(left.end(), waiting_.begin(), waiting_.end());
  const std::map<std::string, int64_t> sizes = check_points(registry_, plan_, left, reporter_);
  const auto cost = [&](const SweptRun* run) {
    const auto size = sizes.find(run->id);
    return static_cast<double>(steps_of(*run)) * static_cast<double>(size == sizes.end() ? 1 : size->second);
  };
  const auto longer = [&](const SweptRun* a, const SweptRun* b) { return cost(a) > cost(b); };
  std::stable_sort(queue_.begin(), queue_.end(), longer);
  std::stable_sort(waiting_.begin(), waiting_.end(), longer);
}

// The next run, and with it those of its shape that share its process as replicas: of what is left of the
// shape, the share of a worker, halved, so that the workers end together.
std::vector<const SweptRun*> SweepRunner::next_runs() {
  const SweptRun* const first = queue_.front();
  const auto shape_of = [&](const SweptRun* run) {
    return alone_.count(run) ? std::nullopt : replica_shape(*run->settings);
  };
  const size_t most = replicas_ > 0 ? replicas_ : replicas_by_default(*first->settings);
  const auto shape = most > 1 ? shape_of(first) : std::nullopt;
  std::vector<const SweptRun*> all = {first};
  for (size_t i = 1; shape && i < queue_.size(); ++i)
    if (shape_of(queue_[i]) == shape) all.push_back(queue_[i]);
  all.resize(std::min(most, (all.size() + 2 * jobs_ - 1) / (2 * jobs_)));
  const std::set<const SweptRun*> taken(all.begin(), all.end());
  std::erase_if(queue_, [&](const SweptRun* run) { return taken.count(run) > 0; });
  return all;
}

void SweepRunner::dispatch() {
  while (!queue_.empty() && supervisor_.running() < jobs_) {
    const std::vector<const SweptRun*> runs = next_runs();
    const Supervisor::Id id =
        supervisor_.spawn([&](int socket) { train_swept(registry_, plan_, runs, socket); });
    for (const SweptRun* run : runs) workers_[id].push_back({run});
  }
}

void SweepRunner::heard(Supervisor::Id id, const std::string& text) {
  MessageReader message(text);
  Member& member = workers_.at(id).at(message.number());
  const auto news = static_cast<SweptNews>(message.number());
  if (news == SweptNews::step) {
    member.step = static_cast<int64_t>(message.number());
    return;
  }
  if (news == SweptNews::anew) {
    reporter_.warning(fmt::format("{} is damaged and made anew: {}", named(*member.run), message.text()));
    return;
  }
  member.told = true;
  if (news == SweptNews::done) finish(*member.run);
  if (news == SweptNews::busy) elsewhere_.push_back(member.run);
  if (news == SweptNews::failed) fail(*member.run, message.text());
}

void SweepRunner::ended(Supervisor::Id id, int status) {
  const Worker worker = workers_.extract(id).mapped();
  const std::string what = "its process ended: " + ending_text(status);
  for (const Member& member : worker) {
    if (member.told) continue;
    if (worker.size() > 1 && !ending_.interrupted) {  // the fault of one of them
      alone_.insert(member.run);
      queue_.push_front(member.run);
      continue;
    }
    note_crash(plan_, *member.run, what, ending_advice(status));
    fail(*member.run, what);
  }
}

void SweepRunner::finish(const SweptRun& run) {
  ++ending_.done;
  steps_done_ += steps_of(run);
  changed_ = true;
}

void SweepRunner::fail(const SweptRun& run, const std::string& what) {
  ++ending_.failed;
  changed_ = true;
  steps_done_ += progress_ ? steps_of(run) : 0;
  // Where it cannot even be written, what was said here is all there is.
  const std::filesystem::path log = plan_.run_folder(run) / SweptLog::file_name;
  std::error_code ignored;
  reporter_.warning(fmt::format("{} failed: {}", named(run), first_line(what)),
                    std::filesystem::exists(log, ignored) ? fmt::format("see {}", log.string()) : "");
}

// Those that another process worked on: done by now, or left by it.
void SweepRunner::look_again() {
  std::vector<const SweptRun*> still;
  for (const SweptRun* run : elsewhere_) {
    const SweptStatus status = status_of(plan_, *run);
    if (status.state == SweptState::done)
      finish(*run);
    else if (status.state == SweptState::running)
      still.push_back(run);
    else if (status.state == SweptState::failed)
      fail(*run, status.error);
    else
      queue_.push_back(run);
  }
  elsewhere_ = std::move(still);
}

void SweepRunner::show() {
  if (!progress_->due()) return;
  int64_t steps = steps_done_;
  size_t running = 0;
  for (const auto& [id, worker] : workers_)
    for (const Member& member : worker) {
      if (member.told) continue;
      ++running;
      steps += member.step;
    }
  std::string text = fmt::format("{} of {} runs done, {} running", ending_.done, plan_.runs.size(), running);
  if (ending_.failed > 0) text += fmt::format(", {} failed", ending_.failed);
  if (!waiting_.empty()) text += fmt::format(", {} of a later stage", waiting_.size());
  if (!elsewhere_.empty()) text += fmt::format(", {} in other processes", elsewhere_.size());
  progress_->show(steps, text);
}

SweepEnding SweepRunner::run() {
  write_plan(plan_);
  look();
  sort_longest_first();
  int64_t total = 0;
  for (const SweptRun* run : queue_) total += steps_of(*run);
  for (const SweptRun* run : waiting_) total += steps_of(*run);
  progress_ = reporter_.progress(total, "steps");
  while (true) {
    if (!ending_.interrupted && std::exchange(changed_, false)) release();
    if (queue_.empty() && supervisor_.running() == 0 && elsewhere_.empty()) {
      if (!changed_ || ending_.interrupted) break;
      continue;
    }
    if (reporter_.stop_requested() && !ending_.interrupted) {
      ending_.interrupted = true;
      queue_.clear();
      waiting_.clear();
      for (const auto& [id, worker] : workers_) supervisor_.send(id, Message().add(uint64_t{0}));
    }
    if (ending_.interrupted && supervisor_.running() == 0) break;
    if (!ending_.interrupted) {
      dispatch();
      if (supervisor_.running() < jobs_ && queue_.empty()) look_again();
    }
    supervisor_.wait();
    show();
  }
  for (const SweptRun* run : waiting_) block(*run, start_now(plan_, *run).why);
  return ending_;
}

}  // namespace

SweepEnding run_sweep(const Registry& registry, const SweepPlan& plan, const SweepChoice& choice,
                      Reporter& reporter) {
  return SweepRunner(registry, plan, choice, reporter).run();
}

}  // namespace orrery::engine
