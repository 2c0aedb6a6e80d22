// orrery sweep report SWEEP: a set of runs as one HTML page.
#include <fmt/format.h>
#include <orrery/error.h>

#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/terminal.h"
#include "engine/experiment/experiment.h"
#include "engine/sweep_report/sweep_page.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct SweepReportArguments {
  std::string sweep, out;
  std::vector<std::string> files;
};

int report_sweep(const SweepReportArguments& options) {
  // The copy of the plan in the folder needs no plugins.
  const SweepPlan plan = fs::is_directory(options.sweep)
                             ? read_plan(options.sweep)
                             : plan_sweep(options.sweep, parameters_from(*load_plugins(options.files)));
  if (options.out.empty() && !fs::is_directory(plan.folder))
    throw UsageError(
        fmt::format("{}: this sweep has not begun; there is no such folder", plan.folder.string()),
        fmt::format("begin it with: orrery sweep run {}\nif it is elsewhere, name its folder",
                    options.sweep));
  write_sweep_page(plan, options.out.empty() ? plan.folder / "report.html" : fs::path(options.out),
                   terminal());
  return 0;
}

}  // namespace

Command add_sweep_report(CLI::App& sweep) {
  auto options = std::make_shared<SweepReportArguments>();
  CLI::App* command =
      sweep.add_subcommand("report", "Draw the whole set as one HTML page that works offline");
  command->add_option("sweep", options->sweep, "The sweep's file, or its folder in runs/sweeps")
      ->type_name("SWEEP")
      ->required();
  command
      ->add_option("--out", options->out, "The file to write; by default report.html in the sweep's folder")
      ->type_name("FILE");
  add_plugin_option(*command, options->files);
  return {command, [options] { return report_sweep(*options); }};
}

}  // namespace orrery::cli
