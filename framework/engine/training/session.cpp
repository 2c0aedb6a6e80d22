#include "engine/training/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "cli/text/summary.h"
#include "cli/text/tables.h"
#include "cli/text/terminal.h"
#include "engine/config/condition.h"
#include "engine/export/curve_events.h"
#include "engine/export/event_file.h"
#include "engine/probing/checkpoint_pass.h"
#include "engine/probing/plan.h"
#include "engine/processes/crash.h"
#include "engine/run/curves.h"
#include "engine/train/loop.h"
#include "engine/train/schedule.h"
#include "engine/training/run_files.h"

namespace orrery::engine {
namespace {

double metric(const Metrics& metrics, const std::string& name) {
  for (const auto& [known, value] : metrics)
    if (known == name) return value;
  return std::numeric_limits<double>::quiet_NaN();
}

// A metric that is never written would let a run go on for ever.
void check_condition(const Condition& condition, const Trainer& trainer) {
  std::vector<std::string> known;
  for (const auto& [name, value] : trainer.evaluate()) known.push_back(name);
  for (const std::string& name : condition.metrics())
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw UsageError(
          fmt::format("train.stop_when: there is no metric \"{}\"{}", name, did_you_mean(name, known)),
          fmt::format("this run writes: {}", fmt::join(known, ", ")));
}

// The checkpoint was written before its probes were asked; a run that goes on asks them then.
void advise_on_crash_of_probes(const RunDirectory& run, std::optional<int64_t> step) {
  const std::string again = fmt::format("probe {}{}{}", run.root().string(),
                                        step ? fmt::format(" --steps {}", *step) : "", plugin_options());
  advise_on_crash(
      fmt::format("nothing of the run is lost. Mend the plugin (to see where it crashes:\n"
                  "    {}),\n"
                  "  then go on: orrery train --resume {}{}",
                  debugger_command(again), run.root().string(), plugin_options()));
}

// Whether a curve is of a probe that waits for the last checkpoint.
bool waits(const Experiment& experiment, const std::string& curve) {
  return std::any_of(experiment.probes().begin(), experiment.probes().end(), [&](const ProbeInRun& probe) {
    return probe.waits() && curve.starts_with(fmt::format("probe/{}/", probe.label));
  });
}

// One session of training: what happens at its evaluations and checkpoints.
class Session {
 public:
  Session(Experiment& experiment, RunDirectory& run, Trainer& trainer, bool resumed)
      : experiment_(experiment),
        run_(run),
        trainer_(trainer),
        schedule_(experiment.settings().checkpoints, experiment.settings().train.steps),
        stop_when_(Condition::parse(experiment.settings().train.stop_when)),
        progress_(experiment.settings().train.steps, "steps"),
        resumed_at_(resumed ? std::optional(trainer.steps_done()) : std::nullopt) {}

  Ending run();

 private:
  void begin_events();
  void evaluated(int64_t step, const Metrics& metrics);
  void checkpoint(int64_t step, std::optional<Ending> ending);
  void ask_probes(int64_t step, const std::vector<const ProbeInRun*>& probes);
  void catch_up();
  void show(int64_t step, bool always);

  Experiment& experiment_;
  RunDirectory& run_;
  Trainer& trainer_;
  CheckpointSchedule schedule_;
  Condition stop_when_;
  Progress progress_;
  std::optional<int64_t> resumed_at_;
  Metrics metrics_;
  std::string headlines_;
  std::optional<tensorboard::EventFile> events_;
};

Ending Session::run() {
  if (experiment_.settings().log.tensorboard) begin_events();
  if (resumed_at_ && schedule_.due(*resumed_at_)) catch_up();
  return run_loop(
      trainer_, experiment_.settings().train, schedule_, stop_when_,
      {.evaluated = [this](int64_t step, const Metrics& metrics) { evaluated(step, metrics); },
       .checkpoint = [this](int64_t step, std::optional<Ending> ending) { checkpoint(step, ending); },
       .stepped =
           [this](int64_t step, double) {
             if (progress_.due()) show(step, false);
           },
       .stop_requested = interrupted},
      resumed_at_.has_value());
}

// A session that was cut off may have written numbers of its last checkpoint here, or not.
void Session::begin_events() {
  events_.emplace(events_folder(run_), resumed_at_);
  if (!resumed_at_) return;
  const auto known = curve_points(run_, [&](const std::string& name) { return !waits(experiment_, name); });
  if (const auto last = known.find(*resumed_at_); last != known.end())
    events_->add(last->first, last->second);
}

// Nor may it have come to ask all probes about it.
void Session::catch_up() {
  Origins origins(experiment_, run_);
  std::vector<CheckpointFile> last = run_.checkpoints();
  std::erase_if(last, [&](const CheckpointFile& checkpoint) { return checkpoint.step != *resumed_at_; });
  for (Row& row : plan_rows(experiment_, run_, origins, last, Reuse::stored)) {
    std::erase_if(row.due, [](const ProbeInRun* probe) { return probe->waits(); });
    ask_probes(*resumed_at_, row.due);
  }
}

void Session::evaluated(int64_t step, const Metrics& metrics) {
  run_.metrics().append(metrics_line(step, metrics));
  if (events_) events_->add(step, metrics);
  metrics_ = metrics;
  show(step, step == 0);
}

void Session::show(int64_t step, bool always) {
  std::string text = headlines_;
  if (!metrics_.empty())  // a run that goes on has evaluated nothing yet
    text = fmt::format("train {} {:.1f}%  test {} {:.1f}%  {}", compact(metric(metrics_, "train/loss")),
                       100 * metric(metrics_, "train/accuracy"), compact(metric(metrics_, "test/loss")),
                       100 * metric(metrics_, "test/accuracy"), headlines_);
  progress_.show(step, text, always);
}

void Session::checkpoint(int64_t step, std::optional<Ending> ending) {
  write_checkpoint(run_, experiment_.model(), trainer_);
  // The checkpoint that an interruption left is not one of the run's own.
  if (resumed_at_ && !schedule_.due(*resumed_at_))
    run_.drop_checkpoint(*std::exchange(resumed_at_, std::nullopt));
  if (ending == Ending::stopped || ending == Ending::diverged) return;
  std::vector<const ProbeInRun*> due;
  for (const ProbeInRun& probe : experiment_.probes())
    if (probe.due(step)) due.push_back(&probe);
  ask_probes(step, due);
}

void Session::ask_probes(int64_t step, const std::vector<const ProbeInRun*>& probes) {
  if (probes.empty()) return;
  advise_on_crash_of_probes(run_, step);
  // Probes that wait for the last checkpoint show where they would be if this were it; their results come at
  // the end.
  const std::vector<Outcome> outcomes = experiment_.observer().measure(step, probes, /*provisional=*/true);
  report_failures(outcomes);
  Origins origins(experiment_, run_);
  for (const Outcome& outcome : outcomes) {
    if (!outcome.ok() || outcome.probe->waits()) continue;
    run_.save_probe_result(outcome.probe->label, step, RunDirectory::checkpoint_name(step), outcome.record,
                           origins.of(*outcome.probe, step));
    if (events_) events_->add(step, outcome.record.scalars, fmt::format("probe/{}/", outcome.probe->label));
  }
  headlines_ = headline_text(outcomes);
}

// What is computed once the training has ended. In this process, which may have threads, or a device, by now:
// run_in_workers would not do.
class Afterwards {
 public:
  Afterwards(Experiment& experiment, RunDirectory& run)
      : experiment_(experiment), run_(run), origins_(experiment, run), pass_(experiment, run) {}

  /// Returns whether all of it was done.
  bool run() {
    advise_on_crash_of_probes(run_, std::nullopt);
    waiting();
    if (experiment_.settings().log.tensorboard) log_waiting();
    if (!interrupted()) nulls();
    if (!interrupted()) conclusions();
    return !interrupted();
  }

 private:
  void waiting();
  void log_waiting();
  void nulls();
  void conclusions();
  void save(Aside aside, const std::vector<Outcome>& outcomes,
            const std::function<std::string(const ProbeInRun&)>& origin);

  Experiment& experiment_;
  RunDirectory& run_;
  Origins origins_;
  CheckpointPass pass_;
};

// The results of the probes that had to wait.
void Afterwards::waiting() {
  std::vector<Row> rows = plan_rows(experiment_, run_, origins_, run_.checkpoints(), Reuse::stored);
  for (Row& row : rows) std::erase_if(row.due, [](const ProbeInRun* probe) { return !probe->waits(); });
  std::erase_if(rows, [](const Row& row) { return row.due.empty(); });
  if (rows.empty()) return;
  note("going over the checkpoints again, for the probes that needed the last one first");
  Progress progress(static_cast<int64_t>(rows.size()), "checkpoints");
  for (size_t i = 0; i < rows.size() && !interrupted(); ++i) {
    const CheckpointFile& checkpoint = rows[i].checkpoint;
    const std::vector<Outcome> outcomes = pass_.measure(checkpoint, rows[i].due);
    report_failures(outcomes);
    for (const Outcome& outcome : outcomes)
      if (outcome.ok())
        run_.save_probe_result(outcome.probe->label, checkpoint.step,
                               RunDirectory::checkpoint_name(checkpoint.step), outcome.record,
                               origins_.of(*outcome.probe, checkpoint.step));
    progress.show(static_cast<int64_t>(i + 1), headline_text(outcomes));
  }
}

// In a file of their own, made anew each time: where a run is made longer, all of these results change.
void Afterwards::log_waiting() {
  const std::vector<ProbeInRun>& probes = experiment_.probes();
  if (std::none_of(probes.begin(), probes.end(), [](const ProbeInRun& probe) { return probe.waits(); }))
    return;
  const std::string events =
      curve_events(run_, [&](const std::string& name) { return waits(experiment_, name); });
  tensorboard::replace_event_file(events_folder(run_), "waiting", events);
}

void Afterwards::save(Aside aside, const std::vector<Outcome>& outcomes,
                      const std::function<std::string(const ProbeInRun&)>& origin) {
  report_failures(outcomes);
  for (const Outcome& outcome : outcomes) {
    if (!outcome.ok()) continue;
    const std::string line =
        result_line(aside, {{outcome.probe->label, &outcome.record}}, origin(*outcome.probe));
    run_.save_aside(outcome.probe->label, aside, pack_result(line, outcome.record));
  }
}

void Afterwards::nulls() {
  std::vector<const ProbeInRun*> probes;
  for (const ProbeInRun& probe : experiment_.probes())
    if (probe.needs.null) probes.push_back(&probe);
  save(Aside::null, pass_.measure_null(probes),
       [&](const ProbeInRun& probe) { return origins_.of_null(probe); });
}

void Afterwards::conclusions() {
  std::vector<const ProbeInRun*> probes;
  for (const ProbeInRun& probe : experiment_.probes())
    if (!probe.needs.curves.empty()) probes.push_back(&probe);
  if (probes.empty()) return;
  const std::vector<Curve> curves = all_curves(read_curves(run_));
  save(Aside::conclusion, pass_.conclude(probes, curves), [&](const ProbeInRun& probe) {
    return origins_.of_curves(probe, choose_curves(curves, probe.needs.curves, probe.label));
  });
}

}  // namespace

TrainedRun train_run(const Registry& registry, const Settings& settings, const std::filesystem::path& path,
                     bool resume) {
  use_threads(settings.train.threads);
  Experiment experiment(registry, settings, choose_device(settings.train.device));
  experiment.add_probes(settings.probes);
  Trainer trainer(
      experiment.model(), experiment.spec(), experiment.split(), settings.train, settings.seeds.batches,
      [&](int64_t batch_size, torch::Generator rng) { return experiment.sample(batch_size, rng); });
  check_condition(Condition::parse(settings.train.stop_when), trainer);
  RunDirectory run = resume ? RunDirectory::open(path) : RunDirectory::create(path);
  if (resume) {
    check_labels(experiment, run);
    resume_from(run, experiment.model(), trainer);
  }

  Session session(experiment, run, trainer, resume);
  note(opening_text(experiment, run, trainer.steps_done()));
  RunRecord record(run, experiment, trainer.steps_done());
  const auto start = std::chrono::steady_clock::now();
  const Ending ending = session.run();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  record.end(trainer.steps_done(), to_string(ending), seconds);
  TrainedRun trained{ending, trainer.steps_done(), false, ""};
  if (ending != Ending::finished && ending != Ending::condition) return trained;
  trained.probed = Afterwards(experiment, run).run();
  if (trained.probed) trained.summary = summary_text(look_at(run.root()), ending);
  return trained;
}

}  // namespace orrery::engine
