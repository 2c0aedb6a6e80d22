// orrery report RUN: the run as one HTML page.
#include <fmt/format.h>
#include <orrery/error.h>

#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/terminal.h"
#include "engine/experiment/experiment.h"
#include "engine/report/report_choices.h"

namespace orrery::cli {
namespace {

struct ReportArguments {
  std::string run, out;
  std::vector<std::string> files;
};

int report_run(const ReportArguments& options) {
  const RunDirectory run = RunDirectory::open(options.run, RunDirectory::Access::read);
  const auto registry = load_plugins(options.files);
  write_report(run, report_choices(*registry, run),
               options.out.empty() ? run.root() / "report.html" : std::filesystem::path(options.out),
               terminal());
  return 0;
}

}  // namespace

Command add_report(CLI::App& program) {
  auto options = std::make_shared<ReportArguments>();
  CLI::App* command = program.add_subcommand("report", "Draw a run as one HTML page that works offline");
  command->add_option("run", options->run, "The run's directory")->required()->type_name("RUN");
  command->add_option("--out", options->out, "The file to write; by default report.html in the run")
      ->type_name("FILE");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(The page shows the run's curves on one time axis, and every figure that its probes recorded, all moved by one
scrubber. A run in training is drawn up to its last checkpoint.
Examples:
  orrery report runs/quickstart-...
  orrery report runs/quickstart-... --out quickstart.html
For more figures, run more probes first:
  orrery probe runs/quickstart-... --pipeline probes.toml)");
  return {command, [options] { return report_run(*options); }};
}

}  // namespace orrery::cli
