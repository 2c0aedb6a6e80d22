#include "engine/sweep/swept_worker.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <chrono>

#include "engine/experiment/experiment.h"
#include "engine/inspect/run_state.h"
#include "engine/probing/probe_runner.h"
#include "engine/replicas/in_turns.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_json.h"
#include "engine/run/run_lock.h"
#include "engine/sweep/swept_results.h"
#include "engine/sweep/swept_state.h"
#include "engine/train/hardware.h"
#include "engine/training/training_run.h"
#include "loader/processes/messages.h"
#include "sdk/files/safetensors.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

void make_swept_folder(const fs::path& path) {
  std::error_code failure;
  fs::create_directories(path, failure);
  if (failure) throw Error(fmt::format("{}: cannot make this folder: {}", path.string(), failure.message()));
}

// The way to the supervisor of one of the runs of this process, and what it shares with the others.
struct Line {
  int socket;
  uint64_t run;
  Turns& turns;
};

void tell(const Line& line, SweptNews news, const std::string& text = "") {
  send(line.socket, Message().add(line.run).add(news).add(text));
}

// Notes go to the log, steps to the supervisor, now and then; anything from it means to stop.
class WorkerReporter final : public Reporter {
 public:
  WorkerReporter(const Line& line, SweptLog& log) : line_(line), log_(log) {}
  void note(const std::string& text) override { log_.line(text); }
  void warning(const std::string& what, const std::string& hint) override {
    log_.line("warning: " + what);
    if (!hint.empty()) log_.line("  " + hint);
  }
  std::unique_ptr<Progress> progress(int64_t, const std::string& unit) override {
    return std::make_unique<Steps>(unit == "steps" ? &line_ : nullptr, log_);
  }
  bool stop_requested() const override;

 private:
  class Steps final : public Progress {
   public:
    Steps(const Line* line, SweptLog& log) : line_(line), log_(log) {}
    void show(int64_t done, const std::string&, bool) override {
      if (!due()) return;
      last_ = Clock::now();
      log_.flush();  // the run exists by now
      send(line_->socket, Message().add(line_->run).add(SweptNews::step).add(static_cast<uint64_t>(done)));
    }
    bool due() const override { return line_ && Clock::now() - last_ > std::chrono::milliseconds(200); }

   private:
    const Line* line_;
    SweptLog& log_;
    Clock::time_point last_{};
  };

  const Line line_;
  SweptLog& log_;
  mutable bool stop_ = false;
  mutable Clock::time_point looked_{};
};

bool WorkerReporter::stop_requested() const {
  if (stop_ || Clock::now() - looked_ < std::chrono::milliseconds(20)) return stop_;
  looked_ = Clock::now();
  return stop_ = has_message(line_.socket);
}

// Where nobody will look for it, but where nothing of it is lost.
fs::path set_aside(const fs::path& folder, SweptLog& log) {
  fs::path aside = folder.string() + ".damaged";
  for (int i = 2; fs::exists(aside); ++i) aside = fmt::format("{}.damaged-{}", folder.string(), i);
  fs::rename(folder, aside);
  log.line(fmt::format("the damaged run that was here is now {}", aside.string()));
  return aside;
}

// Killed while it wrote its first checkpoint, a run has the state but not the weights.
bool can_be_resumed(const RunDirectory& run) {
  const std::vector<int64_t> states = run.states();
  const std::vector<CheckpointFile> checkpoints = run.checkpoints();
  return std::any_of(checkpoints.begin(), checkpoints.end(), [&](const CheckpointFile& checkpoint) {
    return std::find(states.begin(), states.end(), checkpoint.step) != states.end();
  });
}

// Throws Error if the checkpoint from which a run goes on is damaged.
void check_resumable(const RunDirectory& run) {
  if (const auto step = run.resumable_step()) {
    safetensors::File(run.checkpoint_path(*step));
    safetensors::File(run.state_path(*step));
  }
}

// Whether an attempt that was killed or refused before its first checkpoint leaves this file.
bool is_of_a_beginning(const fs::path& file, bool has_run_json) {
  const std::string name = file.filename().string();
  if (is_temporary(file) || name == RunLock::file_name) return true;
  if (name == SweptLog::file_name) return read_swept_log(file.parent_path()).end != LoggedEnd::done;
  if (!has_run_json) return false;
  return name == "run.json" || name.ends_with(".state.safetensors") ||
         (name == "metrics.jsonl" && read_lines(file).size() < 2);
}

// The first file of a run that cannot go on that is worth keeping, relative to the run; "" if there is none.
std::string what_would_be_lost(const fs::path& folder) {
  const bool has_run_json = fs::exists(folder / "run.json");
  std::vector<std::string> lost;
  for (const fs::directory_entry& each : fs::recursive_directory_iterator(folder)) {
    const std::string name = each.path().lexically_relative(folder).string();
    const bool copies_metrics = has_run_json && name.starts_with("tensorboard/");
    if (!each.is_directory() && !copies_metrics && !is_of_a_beginning(each.path(), has_run_json))
      lost.push_back(name);
  }
  return lost.empty() ? "" : *std::min_element(lost.begin(), lost.end());
}

// How to go on after what earlier attempts left; `aside`: where a damaged run is now, and what was wrong.
struct Prepared {
  Start start = Start::anew;
  std::string aside = {};
};

// Afterwards the folder is gone if the run starts anew. An error that is no damage is thrown on: nothing is
// set aside because a disk or a permission fails for once.
Prepared prepare(const fs::path& folder, const SweptStatus& status, SweptLog& log) {
  if (!fs::exists(fs::symlink_status(folder))) return {};
  if (!fs::is_directory(folder))
    return {Start::anew, fmt::format("it is no folder; it is now {}", set_aside(folder, log).string())};
  refuse_unreadable(folder);
  std::string damage = status.state == SweptState::damaged ? status.error : "";
  if (damage.empty() && fs::exists(folder / "run.json")) {
    try {
      const RunDirectory run = RunDirectory::open(folder, RunDirectory::Access::read);
      check_resumable(run);
      if (can_be_resumed(run)) return {Start::resume};
    } catch (const Error& error) {
      damage = first_line(error.what());
    }
  }
  if (!damage.empty())
    return {Start::anew, fmt::format("{}; it is now {}", damage, set_aside(folder, log).string())};
  // Killed before its first checkpoint, or refused: there is nothing to go on from, and nothing to lose.
  if (const std::string what = what_would_be_lost(folder); !what.empty()) {
    const char* lacks = fs::exists(folder / "run.json") ? "checkpoint to go on from" : "run.json";
    return {Start::anew,
            fmt::format("it has {}, but no {}; it is now {}", what, lacks, set_aside(folder, log).string())};
  }
  fs::remove_all(folder);
  return {};
}

void drop_checkpoints(const fs::path& folder) {
  std::error_code ignored;
  for (fs::directory_iterator at(folder / "checkpoints", ignored), end; at != end; at.increment(ignored))
    fs::remove(at->path(), ignored);
}

std::string divergence(int64_t step) {
  return fmt::format("the loss became NaN or infinite after step {}", step);
}

// A run that is trained to its end, but was killed before it had asked all probes. It must not be resumed:
// a training that its condition ended would go on.
bool finish_swept_probes(const Registry& registry, const Settings& settings, const fs::path& folder,
                         Reporter& reporter) {
  prepare_processor(settings.train);
  RunDirectory directory = RunDirectory::open(folder);
  Experiment experiment(registry, settings, torch::kCPU);
  experiment.add_probes(settings.probes);
  ProbeRunner probes(experiment, directory, reporter, {.workers = 0});
  return probes.run(directory.checkpoints()) != Probed::interrupted;
}

bool is_trained(const fs::path& folder) {
  return fs::exists(folder / "run.json") && state_of(read_run_json(folder), false) == RunState::finished;
}

// With the checkpoint that the run starts from: the one it began with, if it has begun.
Settings settings_with_start(const SweepPlan& plan, const SweptRun& run, const fs::path& folder, Start start,
                             SweptLog& log) {
  Settings settings = *run.settings;
  if (!run.start) return settings;
  if (start == Start::resume) {
    settings.init.from = text_in(object_at(read_run_json(folder).config, "init", "the config"), "from");
    return settings;
  }
  const StartNow now = start_now(plan, run);
  if (now.kind != StartNow::Kind::ready) throw Error("it cannot start: " + now.why);
  // Seen by nobody before: a run that was there, and damaged itself, did not wait for it.
  if (const std::string damage = damage_of(now.checkpoint); !damage.empty())
    throw Error(fmt::format("it cannot start: {} is damaged ({})", who_is(*run.start), damage),
                "run the sweep again: that run is made anew, and then this one");
  settings.init.from = now.checkpoint.string();
  log.line("starts from " + settings.init.from);
  return settings;
}

// A run that others start from keeps the checkpoints that they may need.
bool drops_checkpoints(const SweepPlan& plan, const SweptRun& run) {
  return plan.keep_of(run) == Keep::none &&
         std::none_of(plan.runs.begin(), plan.runs.end(), [&](const SweptRun& other) {
           return other.start && other.start->sweep.empty() && other.start->run == run.id;
         });
}

void train_claimed(const Registry& registry, const SweepPlan& plan, const SweptRun& run,
                   const SweptStatus& status, const Line& line, SweptLog& log) {
  const fs::path folder = plan.run_folder(run);
  const auto [start, aside] = prepare(folder, status, log);
  if (!aside.empty()) tell(line, SweptNews::anew, aside);
  const Settings settings = settings_with_start(plan, run, folder, start, log);
  WorkerReporter worker(line, log);
  InTurns reporter(worker, line.turns);
  const TrainedRun trained = start == Start::resume && is_trained(folder)
                                 ? TrainedRun{Ending::finished, settings.train.steps,
                                              finish_swept_probes(registry, settings, folder, reporter)}
                                 : train_run(registry, settings, folder, start, reporter);
  if (trained.ending == Ending::diverged) {
    log.failed(divergence(trained.step), "try a smaller train.lr, or train.loss_dtype = \"float64\"");
    return tell(line, SweptNews::failed, divergence(trained.step));
  }
  if (trained.ending == Ending::stopped || !trained.probed) {
    log.line(fmt::format("stopped at step {}", trained.step));
    return tell(line, SweptNews::stopped);
  }
  log.done(read_swept_results(folder).text());
  if (drops_checkpoints(plan, run)) drop_checkpoints(folder);
  tell(line, SweptNews::done);
}

void train_one(const Registry& registry, const SweepPlan& plan, const SweptRun& run, const Line& line) {
  SweptLog log(plan.run_folder(run));
  RunLock claim;
  try {
    make_swept_folder(plan.lock_folder(run));
    claim = RunLock(plan.lock_folder(run));
  } catch (const Error& error) {
    if (RunLock::is_held(plan.lock_folder(run))) return tell(line, SweptNews::busy);
    return tell(line, SweptNews::failed, error.what());
  }
  if (RunLock::is_held(plan.run_folder(run))) return tell(line, SweptNews::busy);
  std::string what, hint;
  try {
    // Somebody else may have done it since the supervisor looked. Our own claim is no state of the run.
    const SweptStatus status = status_when_claimed(plan, run);
    if (status.state == SweptState::done) return tell(line, SweptNews::done);
    return train_claimed(registry, plan, run, status, line, log);
  } catch (const Error& error) {
    what = error.what();
    hint = error.hint();
  } catch (const std::bad_alloc&) {
    what = "there is not enough memory for this run";
    hint = "raise the limit (ulimit -v), or give fewer --jobs and --replicas";
  } catch (const std::exception& error) {
    what = error.what();
  }
  try {
    log.failed(what, hint);
  } catch (const Error&) {
    // A full disk, perhaps: the supervisor still hears of the failure.
  }
  tell(line, SweptNews::failed, what);
}

}  // namespace

void train_swept(const Registry& registry, const SweepPlan& plan, const std::vector<const SweptRun*>& runs,
                 int socket) {
  Turns turns;
  if (runs.size() == 1) return train_one(registry, plan, *runs[0], {socket, 0, turns});
  std::vector<std::function<void()>> pieces;
  for (uint64_t i = 0; i < runs.size(); ++i)
    pieces.push_back([&, i] {
      try {
        train_one(registry, plan, *runs[i], {socket, i, turns});
      } catch (const Error&) {
        // The supervisor is gone, and its runs stop.
      }
    });
  turns.run(std::move(pieces));
}

void note_crash(const SweepPlan& plan, const SweptRun& run, const std::string& what,
                const std::string& hint) {
  try {
    make_swept_folder(plan.lock_folder(run));
    const RunLock claim(plan.lock_folder(run));
    SweptLog(plan.run_folder(run)).failed(what, hint);
  } catch (const Error&) {
    // Another process works on it, or the disk is full; the crash is listed all the same.
  }
}

}  // namespace orrery::engine
