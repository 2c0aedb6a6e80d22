// orrery compare RUN RUN...: what networks have in common, across seeds, hyperparameters and tasks.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <filesystem>
#include <iostream>

#include "cli/commands/commands.h"
#include "cli/text/comparison_text.h"
#include "cli/text/terminal.h"
#include "engine/compare/comparison.h"
#include "engine/compare/missing_probes.h"
#include "engine/report/page.h"
#include "engine/train/hardware.h"
#include "sdk/files/atomic_file.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct CompareArguments {
  std::vector<std::string> runs, hooks, files;
  std::string step = "last", html;
  bool json = false, probe_missing = false, no_activations = false;
};

void check_request(const CompareArguments& options) {
  if (options.runs.size() < 2)
    throw UsageError("comparing needs two runs or more", "for example: orrery compare runs/one runs/another");
  for (size_t i = 0; i < options.runs.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      std::error_code failed;
      if (options.runs[i] == options.runs[j] || fs::equivalent(options.runs[i], options.runs[j], failed))
        throw UsageError(fmt::format("{} and {} are the same run", options.runs[j], options.runs[i]),
                         "name it once; two checkpoints of one run cannot be compared with each other yet");
    }
  if (options.no_activations && !options.hooks.empty())
    throw UsageError("--hook cannot be used with --no-activations");
}

void write_page(const Comparison& comparison, const std::string& file) {
  std::vector<std::string> names;
  for (const auto& run : comparison.runs) names.push_back(run->name());
  const std::string title = fmt::format("Comparison of {}", fmt::join(names, ", "));
  write_file(file, html_page(title, "compare", comparison_json(comparison, true), Numbers()));
  note(fmt::format("the page is {}", file));
}

int compare_command(const CompareArguments& options) {
  check_request(options);
  if (!options.html.empty()) require_page();
  const auto registry = load_plugins(options.files);
  use_threads(1);  // probes run in forks, and threads do not survive a fork
  ComparedRuns runs;
  for (const std::string& path : options.runs) {
    runs.push_back(std::make_unique<ComparedRun>(*registry, path, options.step));
    runs.back()->read_results();
  }
  catch_interrupts();
  const auto missing = missing_probes(*registry, runs, options.probe_missing, terminal());
  if (!missing) return 130;
  Comparison comparison = compare_runs(
      std::move(runs), options.no_activations ? std::nullopt : std::optional(options.hooks), terminal());
  comparison.missing = *missing;
  if (!options.html.empty()) write_page(comparison, options.html);
  std::cout << (options.json ? comparison_json(comparison, false) + "\n"
                             : comparison_text(comparison, line_limit()));
  return 0;
}

}  // namespace

Command add_compare(CLI::App& program) {
  auto options = std::make_shared<CompareArguments>();
  CLI::App* command = program.add_subcommand("compare", "Compare the networks of two or more runs");
  command->add_option("runs", options->runs, "The runs' directories")->required()->type_name("RUN");
  command->add_option(
      "--step", options->step,
      "The checkpoint of each: first, last, a step, or grokked (the first with 99 % test accuracy)");
  command->add_flag("--probe-missing", options->probe_missing,
                    "First run the probes that apply to at least two of the runs where their results are "
                    "missing, and store the results in the runs");
  command
      ->add_option("--hook", options->hooks,
                   "Activations to compare, by hook name or glob, instead of attn_out, mlp.hook_post and "
                   "resid_post of every layer")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  command->add_flag("--no-activations", options->no_activations,
                    "Compare only what probes recorded, without running the networks");
  command->add_option("--html", options->html, "Write a page with plots to this file")->type_name("FILE");
  command->add_flag("--json", options->json, "Print one JSON object instead of the tables");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(A network is described by what probes recorded of it: findings, headlines, and the sparsity of its weights in the
basis of its task, each beside its null. The distance of two networks counts the unit-free features that
both have; key frequencies count by their shares, because a change of units permutes the frequencies themselves.
Examples:
  orrery compare runs/seed-0 runs/seed-1 runs/seed-2 --probe-missing
  orrery compare runs/addition runs/subtraction --html compare.html
  orrery compare runs/addition runs/induction --step grokked --json)");
  return {command, [options] { return compare_command(*options); }};
}

}  // namespace orrery::cli
