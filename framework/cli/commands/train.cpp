// orrery train CONFIG, orrery train --resume RUN.
#include <fmt/format.h>
#include <orrery/error.h>

#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/summary.h"
#include "cli/text/terminal.h"
#include "engine/experiment/open_run.h"
#include "engine/inspect/overview.h"
#include "engine/reporter/numbers.h"
#include "engine/training/training_run.h"

namespace orrery::cli {
namespace {

struct TrainArguments {
  std::string config, out, resume;
  std::vector<std::string> overrides, files;
};

int finish(const TrainedRun& trained, const std::filesystem::path& path) {
  if (trained.ending == Ending::diverged)
    throw Error(fmt::format("the loss became NaN or infinite after step {}", trained.step),
                fmt::format("the last good weights are in {}; try a smaller train.lr, or train.loss_dtype = "
                            "\"float64\"",
                            (path / RunDirectory::checkpoint_name(trained.step)).string()));
  if (trained.ending == Ending::stopped) {
    note(fmt::format("stopped at step {}; go on with: orrery train --resume {}", thousands(trained.step),
                     path.string()));
    return 130;
  }
  if (!trained.probed) {
    note(fmt::format("the training is complete; finish its probes with: orrery probe {}", path.string()));
    return 130;
  }
  note(summary_text(look_at(path), trained.ending));
  return 0;
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
    const auto settings = read_settings(RunDirectory::open(options.resume, RunDirectory::Access::read),
                                        *registry, options.overrides);
    return finish(train_run(*registry, settings, options.resume, Start::resume, terminal()), options.resume);
  }
  const Settings settings =
      resolve(Document::load(options.config, options.overrides), parameters_from(*registry));
  const std::filesystem::path path =
      options.out.empty() ? new_run_path(settings.name) : std::filesystem::path(options.out);
  return finish(train_run(*registry, settings, path, Start::anew, terminal()), path);
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
  command->add_option("--set", options->overrides, "Override a key of the config, e.g. train.steps=2000")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  add_plugin_option(*command, options->files);
  command->footer(R"(Ctrl-C stops after the current step, with a checkpoint; a second one stops at once.
Examples:
  orrery train configs/quickstart.toml
  orrery train configs/quickstart.toml --set task.operation=subtract --set seeds.init=1
  orrery train configs/quickstart.toml --set train.steps=2000 --out runs/short
  orrery train --resume runs/short --set train.steps=4000)");
  return {command, [options] { return train(*options); }};
}

}  // namespace orrery::cli
