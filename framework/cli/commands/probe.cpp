// orrery probe RUN..., orrery probe --pipeline FILE: runs probes over the checkpoints of runs.
#include <fmt/format.h>
#include <orrery/error.h>

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/tables.h"
#include "cli/text/terminal.h"
#include "engine/config/pipeline.h"
#include "engine/experiment/open_run.h"
#include "engine/probing/probe_runner.h"
#include "engine/train/hardware.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct ProbeArguments {
  std::vector<std::string> runs, probes, files;
  std::string steps, pipeline;
  int jobs = 1;
  bool json = false, again = false;
};

// The request for every run.
struct Request {
  std::vector<std::string> runs;
  StepChoice steps;
  std::vector<ProbeChoice> probes;  // empty: those of the run's config
  ProbingOptions how;
};

Request make_request(const ProbeArguments& options, const Registry& registry) {
  Request request{options.runs, {}, {}, {}};
  request.how.reuse = options.again ? Reuse::none : Reuse::stored;
  request.how.workers = options.jobs;
  if (!options.pipeline.empty()) {
    if (!options.probes.empty())
      throw UsageError("--pipeline cannot be used with --probe: a pipeline names its probes");
    Pipeline pipeline = resolve_pipeline(Document::load(options.pipeline), parameters_from(registry));
    if (request.runs.empty()) request.runs = std::move(pipeline.runs);
    request.steps = pipeline.steps;
    request.probes = std::move(pipeline.probes);
  } else if (!options.probes.empty()) {
    request.probes = parse_probes(options.probes, parameters_from(registry));
    request.how.store = false;
  }
  if (!options.steps.empty()) request.steps = StepChoice::parse(options.steps, "--steps");
  if (request.runs.empty())
    throw UsageError(options.pipeline.empty() ? "give the directory of a run"
                                              : fmt::format("{}: it names no runs", options.pipeline),
                     "for example: orrery probe runs/quickstart-...");
  return request;
}

// The directories that a path or a pattern stands for. A pattern skips folders without a run.
std::vector<std::string> expand(const std::string& run) {
  if (run.find_first_of("*?[") == std::string::npos || fs::exists(run)) return {run};
  glob_t found{};
  glob(run.c_str(), 0, nullptr, &found);
  std::vector<std::string> all;
  for (size_t i = 0; i < found.gl_pathc; ++i)
    if (fs::exists(fs::path(found.gl_pathv[i]) / "run.json")) all.emplace_back(found.gl_pathv[i]);
  globfree(&found);
  if (all.empty()) throw UsageError(fmt::format("{}: no run matches this pattern", run));
  return all;
}

std::vector<CheckpointFile> choose_checkpoints(const RunDirectory& run, const StepChoice& steps) {
  std::vector<int64_t> there;
  for (const CheckpointFile& checkpoint : run.checkpoints()) there.push_back(checkpoint.step);
  if (!there.empty()) refuse_gone(run, steps.listed(), "--steps");
  std::vector<CheckpointFile> chosen;
  for (const int64_t step :
       steps.choose(there, run.root().string(), [&] { return grokked_step(run, there, "--steps"); }))
    chosen.push_back({step, run.checkpoint_path(step)});
  return chosen;
}

// Writes numbers and findings to stdout; tensors and figures are in the run directory.
class JsonLines {
 public:
  explicit JsonLines(const RunDirectory& run) : run_(run) {}
  Audience audience() {
    return {[this](const CheckpointFile& checkpoint, const std::vector<Outcome>& outcomes) {
              print(result_line(checkpoint.step, RunDirectory::checkpoint_name(checkpoint.step),
                                records(outcomes)));
            },
            [this](RunLevelResult which, const std::vector<Outcome>& outcomes) {
              print(result_line(which, records(outcomes)));
            }};
  }

 private:
  static std::vector<std::pair<std::string, const Record*>> records(const std::vector<Outcome>& outcomes) {
    std::vector<std::pair<std::string, const Record*>> all;
    for (const Outcome& outcome : outcomes) all.emplace_back(outcome.probe->label, &outcome.record);
    return all;
  }
  void print(const std::string& line) const {
    std::cout << fmt::format("{{\"run\": {}, {}", json_string(run_.root().string()), line.substr(1))
              << std::endl;
  }
  const RunDirectory& run_;
};

class Tables {
 public:
  Audience audience() {
    return {[this](const CheckpointFile& checkpoint, const std::vector<Outcome>& outcomes) {
              table_.add(std::to_string(checkpoint.step), outcomes);
              last_ = outcomes;
            },
            [this](RunLevelResult which, const std::vector<Outcome>& outcomes) {
              (which == RunLevelResult::null ? nulls_ : conclusions_) = outcomes;
            }};
  }
  std::string text() {
    if (!nulls_.empty()) table_.add("null", nulls_);
    const size_t width = line_limit();
    std::string text = table_.text(width) + details_text(last_, nulls_, width);
    if (!conclusions_.empty()) text += "\nconclusions\n" + details_text(conclusions_, {}, width);
    return text;
  }

 private:
  HeadlineTable table_;
  std::vector<Outcome> last_, nulls_, conclusions_;
};

Probed probe_one(const std::string& path, const Request& request, const ProbeArguments& options,
                 const Registry& registry) {
  RunDirectory run =
      RunDirectory::open(path, request.how.store ? RunDirectory::Access::write : RunDirectory::Access::read);
  const std::vector<CheckpointFile> checkpoints = choose_checkpoints(run, request.steps);
  Settings settings = read_settings(run, registry);
  const auto choices = request.probes.empty() ? settings.probes : request.probes;
  if (choices.empty())
    throw UsageError(fmt::format("{}: this run's config has no [[probe]]", path),
                     "name one: --probe NAME or --probe NAME:key=value");
  prepare_processor(settings.train, 1);  // workers are forks, and threads do not survive a fork
  Experiment experiment(registry, std::move(settings), torch::kCPU);
  experiment.add_probes(choices);
  ProbeRunner runner(experiment, run, terminal(), request.how);
  if (options.json) return runner.run(checkpoints, JsonLines(run).audience());
  Tables tables;
  const Probed probed = runner.run(checkpoints, tables.audience());
  std::cout << tables.text() << std::flush;
  return probed;
}

int probe(const ProbeArguments& options) {
  const auto registry = load_plugins(options.files);
  const Request request = make_request(options, *registry);
  std::vector<std::string> runs;
  for (const std::string& run : request.runs)
    for (std::string& path : expand(run)) runs.push_back(std::move(path));
  catch_interrupts();
  int code = 0;
  for (const std::string& run : runs) {
    if (runs.size() > 1 && !options.json) std::cout << run << std::endl;
    try {
      const Probed probed = probe_one(run, request, options, *registry);
      if (probed == Probed::interrupted) return 130;
      if (probed == Probed::with_failures) code = std::max(code, 1);
    } catch (const Error& error) {
      // A run that cannot be probed costs only its own results.
      complain("error", error.what(), error.hint());
      code = std::max(code, dynamic_cast<const UsageError*>(&error) ? 2 : 1);
    }
  }
  return code;
}

}  // namespace

Command add_probe(CLI::App& program) {
  auto options = std::make_shared<ProbeArguments>();
  CLI::App* command = program.add_subcommand("probe", "Run probes over the checkpoints of runs");
  command->add_option("runs", options->runs, "The runs' directories; override those of a pipeline")
      ->type_name("RUN");
  command
      ->add_option("--probe", options->probes,
                   "A probe to run instead of the configured ones, as NAME or NAME:key=value,key=value; "
                   "prints the results and leaves the run unchanged")
      ->type_name("PROBE")
      ->allow_extra_args(false);
  command
      ->add_option("--pipeline", options->pipeline,
                   "A TOML file with [[probe]] entries to run instead of the configured ones, and with the "
                   "runs and steps; stores the results in the runs")
      ->type_name("FILE");
  command->add_option(
      "--steps", options->steps,
      "The checkpoints: all (the default), \"every N\", or a list such as 0,500,last; first, last and "
      "grokked (the first with 99 % test accuracy) stand for steps");
  command->add_option("--jobs", options->jobs, "The number of processes that share the work")
      ->type_name("N")
      ->check(CLI::Range(1, 256));
  command->add_flag("--again", options->again, "Recompute results that are stored already");
  command->add_flag("--json", options->json, "Print a line of JSON per checkpoint");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(Computes only missing results: a result is identified by the content of the checkpoint, the probe, its version
and its parameters. Ctrl-C keeps the results so far. A probe that crashes costs only its own result.
Examples:
  orrery probe runs/quickstart-...                  all probes, all checkpoints
  orrery probe runs/quickstart-... --steps last --json
  orrery probe runs/quickstart-... --probe fourier_basis:rule=embedding --steps 0,1000,2000
  orrery probe --pipeline keys.toml --jobs 2        over the runs that it names
  orrery probe --pipeline keys.toml runs/another    over this one)");
  return {command, [options] { return probe(*options); }};
}

}  // namespace orrery::cli
