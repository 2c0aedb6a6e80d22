// orrery sweep plan | run | status | table | report | commands | submit: sets of runs.
#include <fmt/format.h>
#include <orrery/error.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/sweep_text.h"
#include "cli/text/terminal.h"
#include "engine/config/config_files.h"
#include "engine/experiment/experiment.h"
#include "engine/sweep/array_task.h"
#include "engine/sweep/slurm.h"
#include "engine/sweep/sweep_check.h"
#include "engine/sweep/sweep_commands.h"
#include "engine/sweep/sweep_run.h"
#include "sdk/files/atomic_file.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct SweepArguments {
  std::string sweep, out;
  std::vector<std::string> files;
  int jobs = 1;
  std::vector<int64_t> indices_to_run;
  std::string replicas = "auto";
  bool task = false, slurm = false, dry_run = false;
  int64_t pack = 1, offset = 0;
  int requeue_code = 130;
  SlurmOptions cluster;
  bool failed = false, indices = false, csv = false, json = false;
};

void refuse_missing(const SweepArguments& options) {
  std::error_code ignored;
  if (fs::exists(options.sweep, ignored)) return;
  const std::string moved = fs::path(options.sweep).extension() == ".toml" ? moved_to(options.sweep) : "";
  throw UsageError(fmt::format("{}: no sweep: there is no such file or folder", options.sweep),
                   moved.empty() ? "give the sweep's TOML file, or its folder in runs/sweeps" : moved);
}

SweepPlan plan_of(const SweepArguments& options, const Registry& registry) {
  refuse_missing(options);
  if (fs::is_directory(options.sweep))
    throw UsageError(fmt::format("{}: is the folder of a sweep; this needs its file", options.sweep),
                     fmt::format("its plan.json names it: {}", read_plan(options.sweep).file.origin));
  return plan_sweep(options.sweep, parameters_from(registry), options.out);
}

// For what only looks: from the file, or from the copy of the plan in the folder, which needs no plugins.
SweepPlan plan_to_look_at(const SweepArguments& options) {
  refuse_missing(options);
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
  const auto sizes = check_points(*registry, plan, left, terminal());
  write_plan(plan);
  std::cout << plan_text(plan, states, estimate(plan, states, sizes)) << std::flush;
  return 0;
}

int replicas_of(const SweepArguments& options) {
  if (options.replicas == "auto") return 0;
  int number = 0;
  const char* const end = options.replicas.data() + options.replicas.size();
  const auto [at, fault] = std::from_chars(options.replicas.data(), end, number);
  if (fault != std::errc() || at != end || number < 1 || number > 1024)
    throw UsageError(
        fmt::format("--replicas {}: expected a number from 1 to 1024, or \"auto\"", options.replicas),
        "1 gives each run a process of its own");
  return number;
}

std::set<size_t> chosen_indices(const SweepArguments& options, const SweepPlan& plan) {
  std::set<size_t> chosen;
  for (const int64_t index : options.indices_to_run) {
    if (index < 0 || index >= static_cast<int64_t>(plan.runs.size()))
      throw UsageError(fmt::format("--index {}: the sweep has runs 0 to {}", index, plan.runs.size() - 1),
                       "`orrery sweep table` lists them");
    chosen.insert(static_cast<size_t>(index));
  }
  return chosen;
}

int run_all(const SweepArguments& options) {
  catch_interrupts();
  const auto registry = load_plugins(options.files);
  const SweepPlan plan = plan_of(options, *registry);
  SweepChoice choice{options.jobs, chosen_indices(options, plan), replicas_of(options)};
  if (options.task)
    choice.indices = share_of(array_task([](const char* name) { return std::getenv(name); }), options.pack,
                              options.offset, plan.runs.size());
  if (options.task && choice.indices.empty()) {
    note("no run of the sweep is of this task: there are fewer");
    return 0;
  }
  const SweepEnding ending = run_sweep(*registry, plan, choice, terminal());
  const std::string count = fmt::format("{} of {} runs done", ending.done, plan.runs.size());
  if (ending.interrupted) {
    note(fmt::format("stopped; {}; go on with: orrery sweep run {}{}", count, options.sweep,
                     options.out.empty() ? "" : " --out " + options.out));
    return options.requeue_code;
  }
  note(fmt::format("{}{}{}; see them with: orrery sweep table {}", count,
                   ending.failed > 0 ? fmt::format(", {} failed", ending.failed) : "",
                   ending.blocked > 0 ? fmt::format(", {} cannot start", ending.blocked) : "",
                   plan.folder.string()));
  return ending.well() ? 0 : 1;
}

// What `sbatch` said: the number of the job.
std::string submit_script(const fs::path& script, const std::string& after) {
  const std::string command = submit_command(script, after);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string said;
  char buffer[256];
  while (pipe && std::fgets(buffer, sizeof buffer, pipe.get())) said += buffer;
  said = said.substr(0, said.find_first_of(";\n"));
  if (said.empty() || said.find_first_not_of("0123456789") != std::string::npos)
    throw Error(fmt::format("{}: sbatch did not take it", script.string()),
                "what sbatch said is above; the script is there, and can be submitted by hand");
  return said;
}

int submit(const SweepArguments& options) {
  if (!options.slurm) throw UsageError("say to what: --slurm", "for others: orrery sweep commands FILE");
  const auto registry = load_plugins(options.files);
  const SweepPlan plan = plan_of(options, *registry);
  const fs::path logs = fs::absolute(plan.folder / "slurm");
  // The program that sets the environment and becomes this one.
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path() / "orrery";
  const auto scripts = slurm_scripts(plan, program.string(), options.sweep, options.out, fs::current_path(),
                                     logs, options.cluster);
  const auto path_of = [&](const SlurmScript& script) { return logs / (script.name + ".sbatch"); };
  if (options.dry_run) {
    for (size_t i = 0; i < scripts.size(); ++i) {
      const std::string before = i > 0 ? fmt::format("$job_{}", i) : "";
      std::cout << scripts[i].text
                << fmt::format("# job_{}=$({})\n", i + 1, submit_command(path_of(scripts[i]), before));
    }
    std::cout << std::flush;
    return 0;
  }
  write_plan(plan);
  fs::create_directories(logs);
  std::string before;
  for (const SlurmScript& script : scripts) {
    const fs::path path = path_of(script);
    write_file(path, script.text);
    before = submit_script(path, before);
    std::cout << before << "\n" << std::flush;
    note(fmt::format("job {}: {}", before, path.string()));
  }
  return 0;
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
  if (const std::string text = table_note(plan, rows); !text.empty()) note(text);
  return 0;
}

int commands(const SweepArguments& options) {
  const SweepPlan plan = plan_of(options, *load_plugins(options.files));
  for (size_t i = 0; i < plan.runs.size(); ++i)
    std::cout << as_called(command_of(options.sweep, options.out, i)) << "\n";
  std::cout << std::flush;
  return 0;
}

CLI::App* add_action(CLI::App& sweep, SweepArguments& options, const std::string& name,
                     const std::string& what, bool file, const std::string& more) {
  CLI::App* action = sweep.add_subcommand(name, what);
  action
      ->add_option("sweep", options.sweep,
                   file ? "The sweep, a TOML file" : "The sweep's file, or its folder in runs/sweeps")
      ->type_name(file ? "FILE" : "SWEEP")
      ->required();
  action->add_option("--out", options.out, "The sweep's folder; by default runs/sweeps/NAME")
      ->type_name("DIR");
  add_plugin_option(*action, options.files);
  action->footer(more);
  return action;
}

}  // namespace

Command add_sweep(CLI::App& program) {
  auto options = std::make_shared<SweepArguments>();
  CLI::App* command = program.add_subcommand("sweep", "Plan, run and look at sets of runs: grids and seeds");
  command->require_subcommand(1);
  auto actions = std::make_shared<std::vector<Command>>();
  const auto add = [&](const char* name, const char* what, bool file, int (*act)(const SweepArguments&),
                       const char* more) {
    CLI::App* action = add_action(*command, *options, name, what, file, more);
    actions->push_back({action, [options, act] { return act(*options); }});
    return action;
  };
  add("plan", "Check every point, and say what there is to do", true, plan,
      R"(Writes the plan only; trains nothing.
Examples:
  orrery sweep plan configs/sweeps/quickstart.toml
  orrery sweep plan configs/sweeps/quickstart.toml --out /scratch/quickstart)");
  CLI::App* running = add(
      "run", "Train what is not done; Ctrl-C and go on", true, run_all,
      R"(Damaged runs are set aside and made anew. Exits with 1 if a run failed or cannot start, with 130 if stopped.
Examples:
  orrery sweep run configs/sweeps/quickstart.toml --jobs 2
  orrery sweep run configs/sweeps/quickstart.toml --index 3 --index 5)");
  running->add_option("--jobs", options->jobs, "How many processes train at a time, each with one thread")
      ->check(CLI::Range(1, 1024));
  running
      ->add_option("--index", options->indices_to_run,
                   "Only the run of this index, as `sweep table` and `sweep status --indices` give it")
      ->type_name("N")
      ->allow_extra_args(false);
  running
      ->add_option("--replicas", options->replicas,
                   "How many small networks of one shape may share a process; 1: each has its own")
      ->type_name("N|auto")
      ->capture_default_str();
  running->add_flag("--task", options->task,
                    "Only the runs of this task of an array job: --pack of them, by the number that Slurm, "
                    "HyperQueue, Grid Engine or PBS gives it");
  running->add_option("--pack", options->pack, "With --task: how many runs a task does")
      ->check(CLI::Range(1, 100000));
  running->add_option("--offset", options->offset, "With --task: the index of the first run of task 0");
  running->add_option("--requeue-code", options->requeue_code, "The exit code if stopped")
      ->check(CLI::Range(1, 255));
  CLI::App* state = add(
      "status", "What is done, running, stale, failed, missing", false, status,
      R"(States: done; running; stale (stopped or killed: goes on where it was); missing (not begun); blocked (the run
that it starts from failed); damaged (its files are not what was written: made anew); failed.
Examples:
  orrery sweep status runs/sweeps/quickstart
  orrery sweep status runs/sweeps/quickstart --failed --indices)");
  state->add_flag("--failed", options->failed, "Only the failed runs, with the first line of the error");
  state->add_flag("--indices", options->indices, "The indices of the runs in each state, as 3,17,40-42");
  CLI::App* rows = add("table", "One row a run: keys, status, class, readings", false, table,
                       R"(Examples:
  orrery sweep table runs/sweeps/quickstart
  orrery sweep table runs/sweeps/quickstart --csv > quickstart.csv)");
  rows->add_flag("--csv", options->csv, "Comma-separated values");
  rows->add_flag("--json", options->json, "A line of JSON per run");
  actions->push_back(add_sweep_report(*command));
  add("commands", "One `orrery sweep run --index` command a run, for GNU parallel and others", true, commands,
      R"(Each may be given again at any time: it goes on, or does nothing if the run is done. Those of later stages
need those of earlier ones to be done.
Examples:
  orrery sweep commands configs/sweeps/quickstart.toml | parallel -j 4)");
  CLI::App* cluster = add(
      "submit", "Give the sweep to Slurm as array jobs", true, submit,
      R"(One script for each stage, in the sweep's folder; those of later stages begin when those before have ended.
Two minutes before its time is over a task writes checkpoints, and is queued again.
Examples:
  orrery sweep submit configs/sweeps/quickstart.toml --slurm --dry-run
  orrery sweep submit configs/sweeps/quickstart.toml --slurm --pack 4 --throttle 10 --time 2:00:00)");
  cluster->add_flag("--slurm", options->slurm, "Slurm, by sbatch");
  cluster->add_flag("--dry-run", options->dry_run,
                    "Print the scripts and the commands that would submit them; write and submit nothing");
  cluster->add_option("--pack", options->cluster.pack, "How many runs a task does")
      ->check(CLI::Range(1, 100000));
  cluster->add_option("--throttle", options->cluster.throttle, "How many tasks at a time; 0: any number");
  cluster->add_option("--time", options->cluster.time, "The time of a task, as for sbatch")
      ->type_name("TIME");
  cluster->add_option("--partition", options->cluster.partition, "The partition")->type_name("NAME");
  cluster
      ->add_option("--sbatch", options->cluster.more, "A further option of sbatch, as in --sbatch=--mem=4G")
      ->type_name("OPTION")
      ->allow_extra_args(false);
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
