// orrery sweep plan | run | status | table | report | commands: sets of runs.
#include <fmt/format.h>
#include <orrery/error.h>

#include <iostream>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/sweep_text.h"
#include "cli/text/terminal.h"
#include "engine/experiment/experiment.h"
#include "engine/sweep/sweep_check.h"
#include "engine/sweep/sweep_commands.h"
#include "engine/sweep/sweep_run.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct SweepArguments {
  std::string sweep, out;
  std::vector<std::string> files;
  int jobs = 1;
  bool failed = false, indices = false, csv = false, json = false;
};

SweepPlan plan_of(const SweepArguments& options, const Registry& registry) {
  if (fs::is_directory(options.sweep))
    throw UsageError(fmt::format("{}: is the folder of a sweep; this needs its file", options.sweep),
                     fmt::format("its plan.json names it: {}", read_plan(options.sweep).file.origin));
  return plan_sweep(options.sweep, parameters_from(registry), options.out);
}

// For what only looks: from the file, or from the copy of the plan in the folder, which needs no plugins.
SweepPlan plan_to_look_at(const SweepArguments& options) {
  if (fs::is_directory(options.sweep)) return read_plan(options.sweep);
  return plan_of(options, *load_plugins(options.files));
}

int plan(const SweepArguments& options) {
  const auto registry = load_plugins(options.files);
  const SweepPlan plan = plan_of(options, *registry);
  const std::vector<SweptStatus> states = status_of(plan);
  std::vector<const SweptRun*> left;
  for (size_t i = 0; i < states.size(); ++i)
    if (states[i].state != SweptState::done) left.push_back(&plan.runs[i]);
  const auto sizes = check_points(*registry, left, terminal());
  write_plan(plan);
  std::cout << plan_text(plan, states, estimate(plan, states, sizes)) << std::flush;
  return 0;
}

int run_all(const SweepArguments& options) {
  catch_interrupts();
  const auto registry = load_plugins(options.files);
  const SweepPlan plan = plan_of(options, *registry);
  const SweepEnding ending = run_sweep(*registry, plan, options.jobs, terminal());
  const std::string count = fmt::format("{} of {} runs done", ending.done, plan.runs.size());
  if (ending.interrupted) {
    note(fmt::format("stopped; {}; go on with: orrery sweep run {}", count, options.sweep));
    return 130;
  }
  note(fmt::format("{}{}; see them with: orrery sweep table {}", count,
                   ending.failed > 0 ? fmt::format(", {} failed", ending.failed) : "", plan.folder.string()));
  return ending.failed > 0 ? 1 : 0;
}

int status(const SweepArguments& options) {
  const SweepPlan plan = plan_to_look_at(options);
  std::cout << status_text(plan, status_of(plan), options.failed, options.indices) << std::flush;
  return 0;
}

int table(const SweepArguments& options) {
  if (options.csv && options.json) throw UsageError("give --csv or --json, not both");
  const SweepPlan plan = plan_to_look_at(options);
  const std::vector<SweepRow> rows = read_rows(plan);
  std::cout << (options.csv    ? table_csv(plan, rows)
                : options.json ? table_json(plan, rows)
                               : sweep_table_text(plan, rows))
            << std::flush;
  return 0;
}

int commands(const SweepArguments& options) {
  const SweepPlan plan = plan_to_look_at(options);
  for (const SweptRun& run : plan.runs) std::cout << command_of(plan, run) << "\n";
  std::cout << std::flush;
  return 0;
}

CLI::App* add_action(CLI::App& sweep, SweepArguments& options, const std::string& name,
                     const std::string& what, bool file) {
  CLI::App* action = sweep.add_subcommand(name, what);
  action
      ->add_option("sweep", options.sweep,
                   file ? "The sweep, a TOML file" : "The sweep's file, or its folder in runs/sweeps")
      ->type_name(file ? "FILE" : "SWEEP")
      ->required();
  action->add_option("--out", options.out, "The sweep's folder; by default runs/sweeps/NAME")
      ->type_name("DIR");
  add_plugin_option(*action, options.files);
  return action;
}

}  // namespace

Command add_sweep(CLI::App& program) {
  auto options = std::make_shared<SweepArguments>();
  CLI::App* command = program.add_subcommand("sweep", "Plan, run and look at sets of runs: grids and seeds");
  command->require_subcommand(1);
  auto actions = std::make_shared<std::vector<Command>>();
  const auto add = [&](const char* name, const char* what, bool file, int (*act)(const SweepArguments&)) {
    CLI::App* action = add_action(*command, *options, name, what, file);
    actions->push_back({action, [options, act] { return act(*options); }});
    return action;
  };
  add("plan", "Check every point, and say what there is to do", true, plan);
  add("run", "Train what is not done; Ctrl-C and go on", true, run_all)
      ->add_option("--jobs", options->jobs, "How many runs to train at a time, each with one thread")
      ->check(CLI::Range(1, 1024));
  CLI::App* state = add("status", "What is done, running, stale, failed, missing", false, status);
  state->add_flag("--failed", options->failed, "Only the failed runs, with the first line of the error");
  state->add_flag("--indices", options->indices, "The indices of the runs in each state, as 3,17,40-42");
  CLI::App* rows = add("table", "One row a run: keys, status, class, readings", false, table);
  rows->add_flag("--csv", options->csv, "Comma-separated values");
  rows->add_flag("--json", options->json, "A line of JSON per run");
  actions->push_back(add_sweep_report(*command));
  add("commands", "One `orrery train` command a run, for GNU parallel and others", false, commands);
  command->footer(
      R"(A sweep is a TOML file: a base config, a grid of keys, seeds, readings, claims; docs/sweeps.md explains it.
Its runs are in runs/sweeps/NAME/runs, each in a folder named by the hash of its config, so planning or
running again only adds what is missing. Several `sweep run` at once share the work. `orrery verify FILE`
judges the claims.
Exits with 1 if a run failed, with 130 if stopped.
Examples:
  orrery sweep plan configs/sweeps/quickstart.toml
  orrery sweep run configs/sweeps/quickstart.toml --jobs 2
  orrery sweep status runs/sweeps/quickstart
  orrery sweep table runs/sweeps/quickstart --csv > quickstart.csv
  orrery sweep report runs/sweeps/quickstart
  orrery sweep commands configs/sweeps/quickstart.toml | parallel -j 4
  orrery verify configs/sweeps/quickstart.toml)");
  return {command, [actions] {
            for (const Command& action : *actions)
              if (action.app->parsed()) return action.run();
            return 2;
          }};
}

}  // namespace orrery::cli
