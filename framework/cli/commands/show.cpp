// orrery show RUN: prints an overview of a run.
#include <fmt/format.h>
#include <orrery/error.h>

#include <iostream>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/show_text.h"
#include "cli/text/terminal.h"
#include "engine/experiment/experiment.h"
#include "engine/inspect/check_files.h"
#include "engine/inspect/overview_json.h"

namespace orrery::cli {
namespace {

struct ShowArguments {
  std::string run;
  bool json = false, check = false;
  std::vector<std::string> files;
};

void report_damage(const RunOverview& seen) {
  constexpr size_t most = 5;
  for (size_t i = 0; i < std::min(most, seen.damage.size()); ++i)
    complain("error", seen.damage[i].what(), seen.damage[i].hint());
  if (seen.damage.size() > most)
    complain("error", std::to_string(seen.damage.size() - most) + " more; --json lists them all");
}

// What has no checksum was written by an earlier version, or by another program.
void report_unchecked(const std::vector<std::string>& files) {
  if (files.empty()) return;
  note(fmt::format("{} files have no checksum, so damage to their numbers would not be seen: {}{}",
                   files.size(), files[0], files.size() > 1 ? ", ..." : ""));
}

int check(const ShowArguments& options) {
  if (options.json) throw UsageError("--check cannot be used with --json");
  const CheckedFiles checked = check_files(options.run, terminal());
  for (const Error& error : checked.damage) complain("error", error.what(), error.hint());
  for (const Missing& each : checked.missing) complain("warning", each.what, each.hint);
  for (const std::string& text : checked.gone) note(text);
  report_unchecked(checked.unchecked);
  const std::string damaged =
      checked.damage.empty() ? "" : fmt::format("; {} damaged", checked.damage.size());
  note(checked.n_checked == 0 && damaged.empty()
           ? fmt::format("{}: nothing here has a checksum; everything could be read", options.run)
           : fmt::format("{}: {} files match their checksums{}", options.run, checked.n_checked, damaged));
  return checked.damage.empty() ? 0 : 1;
}

int show(const ShowArguments& options) {
  if (options.check) return check(options);
  const RunOverview seen = look_at(options.run);
  const auto registry = load_plugins(options.files);  // for the defaults of the task
  const ParametersOf parameters_of = parameters_from(*registry);
  if (options.json)
    std::cout << overview_json(seen, parameters_of) << std::endl;
  else
    std::cout << as_called(show_text(seen, parameters_of, output_width(),
                                     locale_has_utf8() ? Glyphs::blocks : Glyphs::ascii))
              << std::flush;
  report_damage(seen);
  return seen.damage.empty() ? 0 : 1;
}

}  // namespace

Command add_show(CLI::App& program) {
  auto options = std::make_shared<ShowArguments>();
  CLI::App* command =
      program.add_subcommand("show", "Show a run: its config, state and curves, and its probes' results");
  command->add_option("run", options->run, "The run's directory")->required()->type_name("RUN");
  command->add_flag("--json", options->json, "Print everything as one JSON object");
  command->add_flag(
      "--check", options->check,
      "Instead read every file and compare it with its checksum; exit with 1 if any is damaged");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(Works during training. For a damaged run, shows what can be read, lists on stderr what cannot, and exits with 1.

Shows only those parameters of the task, the model and the training that are not at their defaults. Sparklines go
from step 0 to the last, and from the lowest value to the highest; losses are on a logarithmic scale; "!" is a NaN
or an infinity. They are drawn with blocks if the locale has UTF-8 and with _ . - ~ = + * # otherwise, and fill the
width of the terminal (of COLUMNS, or 80, if stdout is not a terminal). Colour only on a terminal without NO_COLOR.

JSON, with null for missing values:
  run, name, task, model, n_parameters, n_train, n_test, versions, sessions,
  config
  state           finished, training, interrupted, diverged, imported, damaged
  ended           how the last session ended, as in run.json
  being_written   whether a process is training or probing it now
  resumable_from  the step from which `orrery train --resume` would continue
  step, steps     made, and requested
  changed         the keys of the config that are not at their defaults
  checkpoints     steps, bytes
  thresholds      by accuracy: the first step with "0.99" and with "1"
  metrics         by name: first, last, lowest, highest, best {step, value};
                  steps, values
  probes          by label: plugin, version, configured (whether the last
                  session asked it), n_results, n_due (with the checkpoints
                  where it has none), n_gone (results whose checkpoint
                  is gone); headlines, as metrics; last, null and
                  conclusion: {step, until (the last step that a conclusion
                  looked at), checkpoints (seen, made: of a conclusion that
                  lacks results of pruned ones), scalars, findings}
  damage          what cannot be read

Examples:
  orrery show runs/quickstart-...
  orrery show runs/quickstart-... --json | jq '.metrics["test/loss"].best'
  watch -n 5 orrery show runs/quickstart-...)");
  return {command, [options] { return show(*options); }};
}

}  // namespace orrery::cli
