// The module _orrery: what the package orrery calls in the engine. Long calls release the interpreter lock.
#include <c10/core/DefaultDtype.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/version.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "engine/config/pipeline.h"
#include "engine/config/sweep_file.h"
#include "engine/experiment/builtin_plugins.h"
#include "engine/experiment/open_run.h"
#include "engine/export/export_network.h"
#include "engine/import/import_run.h"
#include "engine/probing/probe_runner.h"
#include "engine/sweep/sweep_table.h"
#include "engine/train/hardware.h"
#include "engine/training/training_run.h"
#include "loader/process_state.h"
#include "python/binding.h"

namespace orrery::python {
namespace {

using namespace engine;

// A lock whose holders take turns in the order in which they came: a mutex may go to the same thread again.
class Turns {
 public:
  void take() {
    std::unique_lock lock(mutex_);
    if (owner_ == std::this_thread::get_id()) {
      ++depth_;
      return;
    }
    const uint64_t ticket = next_++;
    turned_.wait(lock, [&] { return serving_ == ticket; });
    owner_ = std::this_thread::get_id();
    depth_ = 1;
  }
  void give() {
    const std::lock_guard lock(mutex_);
    if (--depth_ > 0) return;
    owner_ = {};
    ++serving_;
    turned_.notify_all();
  }
  bool anyone_waits() {
    const std::lock_guard lock(mutex_);
    return depth_ == 1 && next_ > serving_ + 1;
  }

 private:
  std::mutex mutex_;
  std::condition_variable turned_;
  uint64_t next_ = 0, serving_ = 0;
  std::thread::id owner_{};
  int depth_ = 0;
};

Turns& turns() {
  static auto* const all = new Turns;  // never destroyed: networks end as late as the interpreter
  return *all;
}

std::unique_ptr<Registry>& loaded() {
  static auto* const registry = new std::unique_ptr<Registry>;
  return *registry;
}

}  // namespace

// What the notebook had, and what the engine has instead: that of a program of its own.
struct LongCall::State {
  State() : outer(outermost) {
    if (!outer) outermost = this;
    c10::set_default_dtype(caffe2::TypeMeta::Make<float>());
    if (c10::InferenceMode::is_enabled()) no_inference.emplace(false);
    c10::GradMode::set_enabled(true);
  }
  ~State() {
    if (!outer) outermost = nullptr;
    no_inference.reset();
    Changes changes;
    notebook.undo(changes);
  }
  static thread_local State* outermost;

  ComputingState notebook;
  std::optional<c10::InferenceMode> no_inference;
  State* outer;
};
thread_local LongCall::State* LongCall::State::outermost = nullptr;

LongCall::LongCall() : state_(std::make_unique<State>()) {}
LongCall::~LongCall() = default;

EngineTurn::EngineTurn() { turns().take(); }
EngineTurn::~EngineTurn() { turns().give(); }
// Others find what the notebook had: dtype and number of BLAS threads are those of the whole process.
void EngineTurn::offer() {
  if (!turns().anyone_waits()) return;
  const ComputingState ours;
  Changes changes;
  if (LongCall::State::outermost) LongCall::State::outermost->notebook.undo(changes);
  turns().give();
  turns().take();
  ours.undo(changes);
}

const Registry& plugins() {
  const EngineTurn turn;
  if (loaded()) return *loaded();
  keep_freed_memory();  // as in a training: a forward pass takes what the last one has freed
  loaded() = load_plugins({});
  return *loaded();
}

void PythonReporter::keep(py::error_already_set& error) const {
  if (!stopped_) stop_ = error.value();
  stopped_ = true;
}

void PythonReporter::call(const char* method, const std::function<py::object(const py::object&)>& body) {
  const py::gil_scoped_acquire acquired;
  try {
    body(receiver_.attr(method));
  } catch (py::error_already_set& error) {
    keep(error);
  }
}

void PythonReporter::note(const std::string& text) {
  call("note", [&](const py::object& function) { return function(text); });
}

void PythonReporter::warning(const std::string& what, const std::string& hint) {
  call("warning", [&](const py::object& function) { return function(what, hint); });
}

namespace {

class PythonProgress final : public Progress {
 public:
  PythonProgress(PythonReporter& reporter, int64_t total, std::string unit)
      : reporter_(reporter), total_(total), unit_(std::move(unit)) {}
  void show(int64_t done, const std::string& text, bool always) override {
    if (!due() && !always) return;
    last_ = Clock::now();
    reporter_.call("show", [&](const py::object& function) { return function(done, total_, unit_, text); });
  }
  bool due() const override { return Clock::now() - last_ >= std::chrono::milliseconds(100); }

 private:
  using Clock = std::chrono::steady_clock;
  PythonReporter& reporter_;
  int64_t total_;
  std::string unit_;
  Clock::time_point last_{};
};

}  // namespace

std::unique_ptr<Progress> PythonReporter::progress(int64_t total, const std::string& unit) {
  return std::make_unique<PythonProgress>(*this, total, unit);
}

// Asked after every step: the interpreter is asked ten times a second, for signals and other threads.
bool PythonReporter::stop_requested() const {
  EngineTurn::offer();
  const auto now = std::chrono::steady_clock::now();
  if (stopped_ || now - looked_ < std::chrono::milliseconds(100)) return stopped_;
  looked_ = now;
  const py::gil_scoped_acquire acquired;
  if (PyErr_CheckSignals() != 0) {
    py::error_already_set error;
    keep(error);
  }
  return stopped_;
}

namespace {

// With a name of the file that Python gave, for a dict.
Document read_config(const std::string& config, bool is_json, const std::vector<std::string>& overrides) {
  return is_json ? Document::from_json(config, "config.json", overrides) : Document::load(config, overrides);
}

std::string ending_text(const TrainedRun& trained) { return to_string(trained.ending); }

py::tuple train(const std::string& config, bool is_json, const std::vector<std::string>& overrides,
                const std::string& out, const std::string& resume, py::object receiver) {
  PythonReporter reporter(std::move(receiver));
  std::filesystem::path path = resume;
  TrainedRun trained{};
  {
    const LongCall call;
    const Registry& registry = plugins();
    if (!resume.empty()) {
      const RunDirectory run = RunDirectory::open(resume, RunDirectory::Access::read);
      const Settings settings = read_settings(run, registry, OpenFor::training, overrides);
      trained = train_run(registry, settings, path, Start::resume, reporter);
    } else {
      const Document document = read_config(config, is_json, overrides);
      if (is_sweep(document))
        throw UsageError(config + ": this is a sweep, a set of runs",
                         fmt::format("`orrery sweep run {}` trains them", config));
      const Settings settings = resolve(document, parameters_from(registry));
      path = out.empty() ? new_run_path(settings.name) : std::filesystem::path(out);
      trained = train_run(registry, settings, path, Start::anew, reporter);
    }
  }
  return py::make_tuple(path.string(), ending_text(trained), trained.step, trained.probed,
                        reporter.asked_to_stop());
}

// The name, and the parameters that differ from their defaults: "fourier_basis,rule=embedding".
std::string label_of(const ProbeChoice& choice, const Settings& settings) {
  std::string label = choice.plugin;
  for (const Field& field : plugins().find(PluginKind::probe, choice.plugin).parameters)
    if (const Value& value = choice.parameters.at(field.name); value != field.fallback)
      label += fmt::format(",{}={}", field.name, orrery::to_string(value));
  if (choice.reference != "last") label += ",reference=" + choice.reference;
  std::erase(label, '"');
  for (char& c : label)
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == ' ') c = '_';
  for (const ProbeChoice& known : settings.probes)
    if (known.label == label) label += ",defaults";
  if (label.size() > 100)
    throw UsageError(fmt::format("run.probe(): the results of {} need a name, and these parameters make one "
                                 "of {} bytes",
                                 choice.plugin, label.size()),
                     "give label=\"...\", which names their folder in the run");
  return label;
}

// The probe of the config with these parameters, if there is one; else a probe whose label tells them, unless
// the entry has a label.
ProbeChoice choice_of(const Settings& settings, const std::string& entry) {
  const Document document = Document::from_json(fmt::format("{{\"probe\": [{}]}}", entry), "run.probe()");
  ProbeChoice asked = resolve_pipeline(document, parameters_from(plugins())).probes.at(0);
  if (nlohmann::json::parse(entry).contains("label")) return asked;
  for (const ProbeChoice& known : settings.probes)
    if (known.plugin == asked.plugin && known.parameters == asked.parameters &&
        known.reference == asked.reference)
      return known;
  asked.label = label_of(asked, settings);
  return asked;
}

StepChoice step_choice(const std::string& steps) {
  return steps.empty() ? StepChoice() : StepChoice::parse(steps, "steps");
}

std::vector<CheckpointFile> choose_checkpoints(const RunDirectory& run, const std::string& steps) {
  std::vector<int64_t> there;
  for (const CheckpointFile& checkpoint : run.checkpoints()) there.push_back(checkpoint.step);
  const StepChoice choice = step_choice(steps);
  if (!there.empty()) refuse_gone(run, choice.listed(), "steps");
  std::vector<CheckpointFile> chosen;
  for (const int64_t step :
       choice.choose(there, run.root().string(), [&] { return grokked_step(run, there, "steps"); }))
    chosen.push_back({step, run.checkpoint_path(step)});
  return chosen;
}

std::vector<int64_t> choose_steps(const std::string& path, const std::string& steps) {
  const LongCall call;
  std::vector<int64_t> chosen;
  const RunDirectory run = RunDirectory::open(path, RunDirectory::Access::read);
  for (const CheckpointFile& checkpoint : choose_checkpoints(run, steps)) chosen.push_back(checkpoint.step);
  return chosen;
}

// Keeps the lines of what is not stored.
Audience keep_lines(std::vector<std::string>& lines) {
  const auto add = [&lines](const std::vector<Outcome>& outcomes, const auto& line) {
    for (const Outcome& outcome : outcomes)
      if (outcome.ok()) lines.push_back(line(outcome));
  };
  return {[=](const CheckpointFile& checkpoint, const std::vector<Outcome>& outcomes) {
            add(outcomes, [&](const Outcome& outcome) {
              return result_line(checkpoint.step, RunDirectory::checkpoint_name(checkpoint.step),
                                 {{outcome.probe->label, &outcome.record}});
            });
          },
          [=](RunLevelResult which, const std::vector<Outcome>& outcomes) {
            add(outcomes, [&](const Outcome& outcome) {
              return result_line(which, {{outcome.probe->label, &outcome.record}});
            });
          }};
}

// Asks one probe at the checkpoints, as `orrery probe` does, in this process. Returns its label, the lines of
// its results, the first failure and its number of failures, and what asked to stop.
py::tuple probe(const std::string& path, const std::string& entry, const std::string& steps, bool store,
                bool again, py::object receiver) {
  PythonReporter reporter(std::move(receiver));
  std::string label;
  std::vector<std::string> lines;
  std::vector<ProbeTally> tallies;
  {
    const LongCall call;
    RunDirectory run =
        RunDirectory::open(path, store ? RunDirectory::Access::write : RunDirectory::Access::read);
    const std::vector<CheckpointFile> checkpoints = choose_checkpoints(run, steps);
    Settings settings = read_settings(run, plugins());
    const ProbeChoice choice = choice_of(settings, entry);
    label = choice.label;
    prepare_processor(settings.train, 1);  // as the command line does
    Experiment experiment(plugins(), std::move(settings), torch::kCPU);
    experiment.add_probes({choice});
    ProbeRunner runner(experiment, run, reporter,
                       {.store = store, .reuse = again ? Reuse::none : Reuse::stored, .workers = 0});
    runner.run(checkpoints, keep_lines(lines));
    tallies = runner.tallies();
  }
  int64_t asked = 0, failed = 0;
  std::string first_error;
  for (const ProbeTally& tally : tallies) {
    asked += tally.asked;
    failed += tally.failed;
    if (first_error.empty()) first_error = tally.first_error;
  }
  return py::make_tuple(label, lines, asked, failed, first_error, reporter.asked_to_stop());
}

// The titles of the columns of readings, and the rows as JSON lines.
py::tuple sweep_table(const std::string& path, const std::string& out) {
  std::vector<std::string> titles;
  std::string lines;
  {
    const LongCall call;
    const SweepPlan plan = std::filesystem::is_directory(path)
                               ? read_plan(path)
                               : plan_sweep(path, parameters_from(plugins()), out);
    titles = table_cells(plan, {}, Digits::all).at(0);
    titles.erase(titles.begin(), std::find(titles.begin(), titles.end(), "status") + 1);
    if (!plan.file.classes.empty()) titles.erase(titles.begin());
    lines = table_json(plan, read_rows(plan));
  }
  return py::make_tuple(titles, lines);
}

py::tuple import_network(const std::vector<std::string>& files, const std::string& config,
                         const std::string& out, const std::map<std::string, std::string>& options,
                         const std::vector<std::string>& overrides, int64_t step, py::object receiver) {
  PythonReporter reporter(std::move(receiver));
  const auto option = [&](const char* name) {
    const auto found = options.find(name);
    return found == options.end() ? std::string() : found->second;
  };
  ImportRequest request;
  request.files = files;
  request.config = config;
  request.out = out;
  request.key = option("key");
  request.steps_key = option("steps_key");
  request.layout = option("layout");
  request.map = option("map");
  request.overrides = overrides;
  request.step = step;
  std::optional<std::filesystem::path> path;
  {
    const LongCall call;
    path = import_run(plugins(), request, reporter);
  }
  return py::make_tuple(path ? py::object(py::str(path->string())) : py::none(), reporter.asked_to_stop());
}

// A state dict of TransformerLens at `out`, and the arguments of its config beside it, OUT.json.
void export_to_transformer_lens(const std::string& path, int64_t step, const std::string& out) {
  const LongCall call;
  Reporter silent;
  const RunDirectory run = RunDirectory::open(path, RunDirectory::Access::read);
  export_network(plugins(), run,
                 {.checkpoint = {step, run.checkpoint_path(step)},
                  .out = out,
                  .format = NetworkFormat::pytorch,
                  .names = WeightNames::transformer_lens},
                 silent);
}

py::list list_plugins() {
  const Registry* registry = nullptr;
  {
    const LongCall call;
    registry = &plugins();
  }
  py::list all;
  for (const auto& plugin : registry->plugins()) {
    py::dict each;
    each["kind"] = orrery::to_string(plugin->kind);
    each["name"] = plugin->name;
    each["version"] = plugin->version;
    each["summary"] = plugin->summary;
    all.append(each);
  }
  return all;
}

// Raises orrery.errors.UsageError or Error, with what and hint.
void raise(const char* type, const std::string& what, const std::string& hint) {
  const py::object exception = py::module_::import("orrery.errors").attr(type);
  PyErr_SetObject(exception.ptr(), exception(what, hint).ptr());
}

void translate(std::exception_ptr thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const UsageError& error) {
    raise("UsageError", error.what(), error.hint());
  } catch (const Error& error) {
    raise("Error", error.what(), error.hint());
  } catch (const c10::Error& error) {
    raise("Error", error.what_without_backtrace(), "");
  }
}

}  // namespace
}  // namespace orrery::python

PYBIND11_MODULE(_orrery, module) {
  using namespace orrery::python;
  namespace py = pybind11;
  module.doc() = "The engine, for the package orrery.";
  py::register_exception_translator(translate);
  add_network(module);
  module.def("set_plugins", [](const std::string& folder) { orrery::engine::set_builtin_plugins(folder); });
  module.def("version", &orrery::version);
  module.def("torch_version", &orrery::torch_version);
  module.def("plugins", list_plugins);
  module.def("train", train);
  module.def("choose_steps", choose_steps);
  module.def("probe", probe);
  module.def("export_to_transformer_lens", export_to_transformer_lens);
  module.def("sweep_table", sweep_table);
  module.def("import_network", import_network);
}
