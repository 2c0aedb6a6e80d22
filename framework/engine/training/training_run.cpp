#include "engine/training/training_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <memory>
#include <optional>

#include "engine/config/condition.h"
#include "engine/experiment/experiment.h"
#include "engine/experiment/open_run.h"
#include "engine/experiment/rows.h"
#include "engine/export/curve_events.h"
#include "engine/export/event_file.h"
#include "engine/probing/headlines.h"
#include "engine/probing/probe_runner.h"
#include "engine/processes/crash.h"
#include "engine/reporter/numbers.h"
#include "engine/run/run_json.h"
#include "engine/train/hardware.h"
#include "engine/train/schedule.h"
#include "engine/training/checkpoints.h"
#include "engine/training/disk_use.h"
#include "engine/training/overrides.h"
#include "engine/training/thinning.h"

namespace orrery::engine {
namespace {

double metric(const Metrics& metrics, const std::string& name) {
  for (const auto& [known, value] : metrics)
    if (known == name) return value;
  return std::numeric_limits<double>::quiet_NaN();
}

std::vector<std::string> names_of(const Metrics& metrics) {
  std::vector<std::string> names;
  for (const auto& [name, value] : metrics) names.push_back(name);
  return names;
}

// With a metric that is never written, the condition would never hold.
void check_condition(const Condition& condition, const std::vector<std::string>& known) {
  for (const std::string& name : condition.metrics())
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw UsageError(
          fmt::format("train.stop_when: there is no metric \"{}\"{}", name, did_you_mean(name, known)),
          fmt::format("this run writes: {}", fmt::join(known, ", ")));
}

// The checkpoint is written before its probes are asked, so a resumed run can ask them.
void advise_on_crash_of_probes(const RunDirectory& run, std::optional<int64_t> step) {
  const std::string again = fmt::format("probe {}{}{}", run.root().string(),
                                        step ? fmt::format(" --steps {}", *step) : "", plugin_options());
  advise_on_crash(
      fmt::format("nothing of the run is lost. Fix the plugin (to see where it crashes:\n"
                  "    {}),\n"
                  "  then go on: orrery train --resume {}{}",
                  debugger_command(again), run.root().string(), plugin_options()));
}

// Whether a curve belongs to a probe that waits for the last checkpoint.
bool waits(const Experiment& experiment, const std::string& curve) {
  return std::any_of(experiment.probes().begin(), experiment.probes().end(), [&](const ProbeInRun& probe) {
    return probe.waits() && curve.starts_with(fmt::format("probe/{}/", probe.label));
  });
}

// How a session begins: a resumed one may find that its condition holds already.
struct Beginning {
  bool resumed = false, ended = false;
};

// One session of training: handles its evaluations and checkpoints.
class Session {
 public:
  Session(Experiment& experiment, RunDirectory& run, Trainer& trainer, Beginning beginning,
          Reporter& reporter)
      : experiment_(experiment),
        run_(run),
        trainer_(trainer),
        reporter_(reporter),
        probes_(experiment, run, reporter, {.workers = 0}),
        thinning_(experiment, run),
        schedule_(experiment.settings().checkpoints, experiment.settings().train.steps),
        stop_when_(Condition::parse(experiment.settings().train.stop_when)),
        progress_(reporter.progress(experiment.settings().train.steps, "steps")),
        resumed_at_(beginning.resumed ? std::optional(trainer.steps_done()) : std::nullopt),
        ended_(beginning.ended) {
    experiment_.set_training([this] { return trainer_.state(); });
  }
  ~Session() { experiment_.set_training(nullptr); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Ending run();
  const std::vector<ProbeTally>& tallies() const { return probes_.tallies(); }
  /// Once every probe has been asked.
  void thin_all() { thinning_.thin_all(); }

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
  Reporter& reporter_;
  ProbeRunner probes_;
  Thinning thinning_;
  CheckpointSchedule schedule_;
  Condition stop_when_;
  std::unique_ptr<Progress> progress_;
  std::optional<int64_t> resumed_at_;
  bool ended_;
  Metrics metrics_;
  std::string headlines_;
  std::optional<tensorboard::EventFile> events_;
};

Ending Session::run() {
  if (experiment_.settings().log.tensorboard) begin_events();
  if (resumed_at_ && schedule_.due(*resumed_at_)) catch_up();
  if (ended_) return Ending::condition;
  const Ending ending = run_loop(
      trainer_, experiment_.settings().train, schedule_, stop_when_,
      {.evaluated = [this](int64_t step, const Metrics& metrics) { evaluated(step, metrics); },
       .checkpoint = [this](int64_t step, std::optional<Ending> ending) { checkpoint(step, ending); },
       .stepped =
           [this](int64_t step, double) {
             if (progress_->due()) show(step, false);
           },
       .stop_requested = [this] { return reporter_.stop_requested(); }},
      resumed_at_.has_value());
  show(trainer_.steps_done(), /*always=*/true);
  return ending;
}

// The killed session may or may not have written events of its last checkpoint, so write them again.
void Session::begin_events() {
  events_.emplace(events_folder(run_), resumed_at_);
  if (!resumed_at_) return;
  const auto known = curve_points(run_, [&](const std::string& name) { return !waits(experiment_, name); });
  if (const auto last = known.find(*resumed_at_); last != known.end())
    events_->add(last->first, last->second);
}

// Nor need it have asked all probes at that checkpoint.
void Session::catch_up() {
  Provenances provenances(experiment_, run_);
  std::vector<CheckpointFile> last = run_.checkpoints();
  std::erase_if(last, [&](const CheckpointFile& checkpoint) { return checkpoint.step != *resumed_at_; });
  for (Row& row : plan_rows(experiment_, run_, provenances, last, Reuse::stored)) {
    std::erase_if(row.due, [](const ProbeInRun* probe) { return probe->waits(); });
    ask_probes(*resumed_at_, row.due);
  }
}

void Session::evaluated(int64_t step, const Metrics& metrics) {
  run_.metrics().append(metrics_line(step, metrics));
  if (events_) events_->add(step, metrics);
  thinning_.evaluated(step, metrics);
  metrics_ = metrics;
  show(step, step == 0);
}

void Session::show(int64_t step, bool always) {
  std::string text;
  if (!metrics_.empty()) {  // empty at first in a resumed run
    for (const std::string set : {"train", "test"})
      if (const double loss = metric(metrics_, set + "/loss");
          set == "train" || experiment_.split().test.size() > 0)
        text += fmt::format("{} {} {:.1f}%  ", set, compact(loss), 100 * metric(metrics_, set + "/accuracy"));
  }
  progress_->show(step, text + headlines_, always);
}

void Session::checkpoint(int64_t step, std::optional<Ending> ending) {
  write_checkpoint(run_, experiment_.model(), trainer_,
                   experiment_.settings().checkpoints.keep_states ? States::all : States::newest);
  // The checkpoint at which the run was interrupted is not part of its schedule.
  if (resumed_at_ && !schedule_.due(*resumed_at_))
    run_.drop_checkpoint(*std::exchange(resumed_at_, std::nullopt));
  if (ending == Ending::stopped || ending == Ending::diverged) return;
  std::vector<const ProbeInRun*> due;
  for (const ProbeInRun& probe : experiment_.probes())
    if (probe.due(step)) due.push_back(&probe);
  ask_probes(step, due);
  thinning_.asked(step);
  thinning_.thin();
}

void Session::ask_probes(int64_t step, const std::vector<const ProbeInRun*>& probes) {
  if (probes.empty()) return;
  advise_on_crash_of_probes(run_, step);
  // Probes that wait for the last checkpoint give provisional results, as if this were it; their final
  // results come at the end.
  const std::vector<Outcome> outcomes = probes_.measure_current(step, probes);
  for (const Outcome& outcome : outcomes)
    if (events_ && outcome.ok() && !outcome.probe->waits())
      events_->add(step, outcome.record.scalars, fmt::format("probe/{}/", outcome.probe->label));
  headlines_ = headline_text(outcomes);
}

// Writes the events of waiting probes to a separate file, made anew each time, because extending a run
// changes all of their results.
void log_waiting(const Experiment& experiment, const RunDirectory& run) {
  const std::vector<ProbeInRun>& probes = experiment.probes();
  if (std::none_of(probes.begin(), probes.end(), [](const ProbeInRun& probe) { return probe.waits(); }))
    return;
  const std::string events =
      curve_events(run, [&](const std::string& name) { return waits(experiment, name); });
  tensorboard::replace_event_file(events_folder(run), "waiting", events);
}

// Adds the tallies of one runner to those of another.
void add_tallies(std::vector<ProbeTally>& all, const std::vector<ProbeTally>& more) {
  for (const ProbeTally& tally : more) {
    const auto known = std::find_if(all.begin(), all.end(),
                                    [&](const ProbeTally& other) { return other.label == tally.label; });
    if (known == all.end()) {
      all.push_back(tally);
      continue;
    }
    known->asked += tally.asked;
    known->failed += tally.failed;
    known->null_failed |= tally.null_failed;
    known->conclusion_failed |= tally.conclusion_failed;
    if (known->first_error.empty()) known->first_error = tally.first_error;
  }
}

// Computes the results that need the end of training. Works in this process, which may have threads or a
// device by now and so cannot fork workers. Returns false if interrupted.
bool finish_probes(Experiment& experiment, RunDirectory& run, Reporter& reporter, bool resumed,
                   std::vector<ProbeTally>& tallies) {
  advise_on_crash_of_probes(run, std::nullopt);
  if (reporter.stop_requested()) return false;
  ProbeRunner probes(experiment, run, reporter, {.workers = 0, .waiting_only = true, .also_lost = resumed});
  const Probed probed = probes.run(run.checkpoints());
  add_tallies(tallies, probes.tallies());
  if (experiment.settings().log.tensorboard) log_waiting(experiment, run);
  return probed != Probed::interrupted;
}

// A resumed run goes on with whatever plugins are there now.
void warn_of_other_plugins(const Registry& registry, const RunDirectory& run, Reporter& reporter) {
  for (const PluginInfo& before : read_run_json(run.root()).plugins)
    for (const auto& now : registry.plugins())
      if (to_string(now->kind) == before.kind && now->name == before.name)
        if (const auto warning = other_plugin(before, *now))
          reporter.warning(warning->first, warning->second);
}

// The newest checkpoint before `step`, whose loss was infinite or NaN.
std::optional<int64_t> last_checkpoint_before(const RunDirectory& run, int64_t step) {
  std::optional<int64_t> last;
  for (const CheckpointFile& checkpoint : run.checkpoints())
    if (checkpoint.step < step) last = checkpoint.step;
  return last;
}

// "quickstart: transformer on modular_arithmetic, ...", and the run's directory.
std::string opening_text(Experiment& experiment, const RunDirectory& run, int64_t step, bool complete) {
  const Settings& settings = experiment.settings();
  return fmt::format("{}\n{} {}",
                     network_text(settings.name, settings.model.name, settings.task.name,
                                  {experiment.model().n_parameters(), experiment.split().train.size(),
                                   experiment.split().test.size(), experiment.spec().endless}),
                     complete   ? "nothing is left to train in"
                     : step > 0 ? fmt::format("going on from step {} in", thousands(step))
                                : "run directory",
                     run.root().string());
}

// Of a run that is complete, which --resume leaves as it is.
std::string how_to_go_on(const RunDirectory& run, const TrainSettings& train, int64_t step) {
  const bool by_condition = step < train.steps;
  return fmt::format(
      "{}; to go on: orrery train --resume {} --set {}",
      by_condition
          ? fmt::format("it ended at step {}, as train.stop_when ({}) asks", thousands(step), train.stop_when)
          : fmt::format("it has made all of its {} steps", thousands(step)),
      run.root().string(),
      by_condition ? "train.stop_when=\"\"" : fmt::format("train.steps={}", 2 * std::max<int64_t>(step, 1)));
}

// What metrics.jsonl says of `step`; nothing if it was not evaluated.
std::map<std::string, double> stored_metrics(const RunDirectory& run, int64_t step) {
  for (const MetricsRow& row : run.read_metrics())
    if (row.step == step) return {row.values.begin(), row.values.end()};
  return {};
}

bool changed(const Json& changes, const std::string& key) {
  return std::any_of(changes.begin(), changes.end(),
                     [&](const Json& change) { return change["key"].get<std::string>() == key; });
}

// Whether a run to resume has made its steps and says so: then there is nothing to change in it. `holds`:
// whether train.stop_when does at `step`; the run may have been killed before it said so.
bool is_complete(const RunDirectory& run, int64_t step, const TrainSettings& train, const Json& changes,
                 bool holds) {
  const int64_t steps = train.steps;
  if (changes.empty() && read_run_json(run.root()).ended() == "condition") return true;
  if (holds && step < steps && !changes.empty() && !changed(changes, "train.stop_when"))
    throw UsageError(fmt::format("{}: train.stop_when ({}) holds at step {}, where it ended, so there is "
                                 "nothing that another {} could change",
                                 run.root().string(), train.stop_when, thousands(step),
                                 changes[0]["key"].get<std::string>()),
                     "to go on, give it another condition as well, or none: --set train.stop_when=\"\"");
  if (step < steps) return false;
  if (!changes.empty())
    throw UsageError(
        fmt::format("{}: it has made {} steps of {}, so there is nothing that another {} could "
                    "change",
                    run.root().string(), thousands(step), thousands(steps),
                    changes[0]["key"].get<std::string>()),
        fmt::format("to go on, give it more: --set train.steps={}", 2 * std::max<int64_t>(step, 1)));
  return read_run_json(run.root()).ended() == "finished";
}

// Another train.kernel sums in another order, as other hardware does.
void warn_of_other_arithmetic(const SessionRecord& record, const Json& changes, Reporter& reporter) {
  std::vector<std::string> changed = record.changed_hardware();
  for (const Json& change : changes)
    if (change["key"] == Json("train.kernel"))
      changed.push_back(fmt::format("train.kernel: {}, before {}", change["to"].get<std::string>(),
                                    change["from"].get<std::string>()));
  if (!changed.empty())
    reporter.warning(fmt::format("this session computes with something else ({})", fmt::join(changed, "; ")),
                     "the run goes on, but will not end in the same bits as without the interruption");
}

// Cuts what the session makes anew. Says what it does with the conclusions of probes that it does not ask.
void trim(RunDirectory& run, const Experiment& experiment, int64_t step, Reporter& reporter) {
  const CheckpointSchedule schedule(experiment.settings().checkpoints, experiment.settings().train.steps);
  // A checkpoint at which the run was interrupted goes once there is another.
  Asked asked{{}, schedule.due(step) ? step : step - 1};
  for (const ProbeInRun& probe : experiment.probes()) asked.labels.insert(probe.label);
  for (const SetAside& conclusion : run.trim_after(step, asked))
    reporter.note(
        fmt::format("probe {}: its conclusion is of steps that are made again, and this session does "
                    "not ask it: moved to {}",
                    conclusion.label, (run.root() / conclusion.path).string()));
}

// Whether the training is at step 0: anew, or killed before its first checkpoint.
bool begins(const std::filesystem::path& path, Start start) {
  return start == Start::anew || RunDirectory::open(path, RunDirectory::Access::read).checkpoints().empty();
}

}  // namespace

std::string network_text(const std::string& name, const std::string& model, const std::string& task,
                         const NetworkSizes& sizes) {
  const auto count = [](std::optional<int64_t> number) {
    return !number ? "?" : *number == 0 ? "no" : thousands(*number);
  };
  return fmt::format("{}: {} on {}, {} parameters, {} training and {} test examples", name, model, task,
                     count(sizes.n_parameters), sizes.endless ? "endless" : count(sizes.n_train),
                     count(sizes.n_test));
}

TrainedRun train_run(const Registry& registry, const Settings& settings, const std::filesystem::path& path,
                     Start start, Reporter& reporter, Purpose purpose) {
  prepare_processor(settings.train);
  Experiment experiment(registry, settings,
                        settings.places.in([&] { return choose_device(settings.train.device); }));
  // Before the trainer is made, which in float64 has weights of its own.
  if (begins(path, start)) experiment.load_initial_weights();
  experiment.add_probes(settings.probes);
  Metrics metrics;  // an example of them
  const auto trainer_of_settings = settings.places.in([&] {
    auto trainer = experiment.make_trainer(experiment.model());
    metrics = trainer->evaluate();
    check_condition(Condition::parse(settings.train.stop_when), names_of(metrics));
    if (purpose == Purpose::verify) refuse_unanswerable(settings, names_of(metrics));
    return trainer;
  });
  Trainer& trainer = *trainer_of_settings;
  RunDirectory run = start == Start::resume ? RunDirectory::open(path) : RunDirectory::create(path);
  Json changes = Json::array();
  bool resumed = false, complete = false, holds = false;
  if (start == Start::resume) {
    changes = changes_on_resume(read_settings(run, registry), settings);
    refuse_other_data(run, experiment);
    check_labels(experiment, run);
    warn_of_other_plugins(registry, run, reporter);
    resumed = !run.checkpoints().empty();
    if (resumed) load_resumable(run, experiment.model(), trainer);
    if (resumed) warn_of_schedule(changes, settings.train, trainer.steps_done(), reporter);
    if (resumed)
      holds = Condition::parse(settings.train.stop_when).holds(stored_metrics(run, trainer.steps_done()));
    complete = resumed && is_complete(run, trainer.steps_done(), settings.train, changes, holds);
    if (!resumed) refuse_lost_checkpoints(run);  // or killed before the first one
    if (!complete) trim(run, experiment, resumed ? trainer.steps_done() : -1, reporter);
    if (resumed && !settings.checkpoints.keep_states)
      run.drop_states_but(trainer.steps_done());  // a power cut may have brought back an earlier one
  }

  warn_of_thinning(experiment, reporter);
  Session session(experiment, run, trainer, {.resumed = resumed, .ended = holds}, reporter);
  reporter.note(opening_text(experiment, run, trainer.steps_done(), complete));
  for (const std::string& note : trainer.notes()) reporter.note(note);
  if (complete) reporter.note(how_to_go_on(run, settings.train, trainer.steps_done()));
  if (!complete && !holds) tell_disk_use(run.root(), disk_use(experiment, trainer, metrics), reporter);
  const auto ended_with = [&](Ending ending) {
    TrainedRun trained{ending, trainer.steps_done(), false};
    if (ending == Ending::diverged) trained.last_good = last_checkpoint_before(run, trained.step);
    trained.failed_probes = session.tallies();
    const bool ended = ending == Ending::finished || ending == Ending::condition;
    trained.probed = ended && finish_probes(experiment, run, reporter, resumed, trained.failed_probes);
    if (trained.probed) session.thin_all();
    std::erase_if(trained.failed_probes, [](const ProbeTally& tally) { return tally.first_error.empty(); });
    return trained;
  };
  if (holds && !complete)
    reporter.note(fmt::format("train.stop_when ({}) holds at this step: the training ends here",
                              settings.train.stop_when));
  if (complete)
    return ended_with(trainer.steps_done() < settings.train.steps ? Ending::condition : Ending::finished);
  // The device itself, not the config's word for it, which may be "auto".
  const std::string device = c10::DeviceTypeName(experiment.model().device().type(), /*lower_case=*/true);
  SessionRecord record(run, experiment.describe(), trainer.steps_done(), device, settings.train.threads);
  record.add_overrides(changes);
  warn_of_other_arithmetic(record, changes, reporter);
  const auto begin = std::chrono::steady_clock::now();
  const Ending ending = session.run();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  run.sync_logs();
  record.end(trainer.steps_done(), to_string(ending), seconds);
  return ended_with(ending);
}

}  // namespace orrery::engine
