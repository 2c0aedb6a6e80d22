// orrery train CONFIG, orrery train --resume RUN.
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/json_lines.h"
#include "cli/text/summary.h"
#include "cli/text/terminal.h"
#include "engine/config/sweep_file.h"
#include "engine/experiment/open_run.h"
#include "engine/inspect/overview.h"
#include "engine/reporter/numbers.h"
#include "engine/training/training_run.h"

namespace orrery::cli {
namespace {

struct TrainArguments {
  std::string config, out, resume;
  std::vector<std::string> overrides, files;
  bool json = false;
};

// On stdout the run's directory, for scripts; on a terminal the messages have named it already.
void print_run(const TrainArguments& options, const TrainedRun& trained, const std::filesystem::path& path) {
  if (options.json)
    print_json(training_json(look_at(path), trained));
  else if (!output_is_terminal())
    std::cout << path.string() << std::endl;
}

int finish(const TrainArguments& options, const TrainedRun& trained, const std::filesystem::path& path) {
  print_run(options, trained, path);
  if (trained.ending == Ending::diverged)
    throw Error(
        fmt::format("the loss became NaN or infinite after step {}", trained.step),
        fmt::format("{}try a smaller train.lr, or train.loss_dtype = \"float64\"",
                    trained.last_good
                        ? fmt::format("the last good weights are in {}; ",
                                      (path / RunDirectory::checkpoint_name(*trained.last_good)).string())
                        : ""));
  if (trained.ending == Ending::stopped) {
    note(fmt::format("stopped at step {}; go on with: orrery train --resume {}", thousands(trained.step),
                     path.string()));
    return 130;
  }
  if (!trained.probed) {
    note(fmt::format("the training is complete; finish its probes with: orrery probe {}", path.string()));
    return 130;
  }
  note(summary_text(look_at(path), trained));
  return std::any_of(trained.failed_probes.begin(), trained.failed_probes.end(),
                     [](const ProbeTally& tally) { return tally.gave_nothing(); });
}

int train(const TrainArguments& options) {
  if (options.config.empty() == options.resume.empty())
    throw UsageError("give either a config or --resume RUN",
                     "for example: orrery train configs/quickstart.toml");
  if (!options.resume.empty() && !options.out.empty())
    throw UsageError("--out cannot be used with --resume: a run goes on in its own directory");
  catch_interrupts();
  const auto registry = load_plugins(options.files);
  if (!options.resume.empty()) {
    const RunDirectory run = RunDirectory::open(options.resume, RunDirectory::Access::read);
    const Settings settings = read_settings(run, *registry, OpenFor::training, options.overrides);
    return finish(options, train_run(*registry, settings, options.resume, Start::resume, terminal()),
                  options.resume);
  }
  const Document document = Document::load(options.config, options.overrides);
  if (is_sweep(document))
    throw UsageError(options.config + ": this is a sweep, a set of runs",
                     fmt::format("orrery sweep run {} trains them", options.config));
  const Settings settings = resolve(document, parameters_from(*registry));
  const std::filesystem::path path =
      options.out.empty() ? new_run_path(settings.name) : std::filesystem::path(options.out);
  return finish(options, train_run(*registry, settings, path, Start::anew, terminal()), path);
}

}  // namespace

Command add_train(CLI::App& program) {
  auto options = std::make_shared<TrainArguments>();
  CLI::App* command = program.add_subcommand("train", "Train a network from a config, or resume a run");
  command->add_option("config", options->config, "The config, a TOML file")->type_name("CONFIG");
  command->add_option("--out", options->out, "The run's directory; by default runs/NAME-TIME")
      ->type_name("DIR");
  command->add_option("--resume", options->resume, "Resume this run from its newest checkpoint")
      ->type_name("RUN");
  command
      ->add_option(
          "--set", options->overrides,
          "Override a key of the config: TABLE.KEY=VALUE, as in train.steps=2000, or "
          "probe.NAME.KEY=VALUE, where NAME is the name or label of a probe; `orrery describe config` "
          "lists the keys")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_flag(
      "--json", options->json,
      "Print a line of JSON at the end instead of the run's directory: run, ended, step, steps, "
      "metrics, probes, earlier_probes (of those that this session did not ask: step, session, headlines), "
      "failed_probes");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(Prints the run's directory on stdout (where that is not a terminal), everything else on stderr.
Ctrl-C stops after the current step, with a checkpoint; a second one stops at once. Exits with 1 if the training diverges,
or if a probe gave nothing (it failed at every checkpoint, or could not conclude): the run itself is complete.
Examples:
  orrery train configs/quickstart.toml
  orrery train configs/quickstart.toml --set task.operation=subtract --set seeds.init=1
  orrery train configs/quickstart.toml --set train.steps=2000 --out runs/short
  orrery train configs/quickstart.toml --set probe.fourier_basis.rule=embedding
  orrery train --resume runs/short --set train.steps=4000)");
  return {command, [options] { return train(*options); }};
}

}  // namespace orrery::cli
