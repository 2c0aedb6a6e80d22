// The program: parses the command line, runs one command, turns errors into messages and exit codes.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/version.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "cli/commands/commands.h"
#include "cli/text/terminal.h"
#include "engine/processes/crash.h"
#include "engine/run/kernels.h"
#include "engine/train/hardware.h"
#include "sdk/files/atomic_file.h"

namespace {

using namespace orrery;

constexpr const char* examples = R"(Examples:
  orrery train configs/quickstart.toml         train a network until it groks
  orrery train --resume runs/quickstart-...    resume after an interruption
  orrery show runs/quickstart-...              its state, curves and probe results
  orrery runs                                  every run: differences, and how it ended
  orrery probe runs/quickstart-... --json      probe every checkpoint, as JSON lines
  orrery report runs/quickstart-...            the run as one HTML page
  orrery sweep run configs/sweeps/x.toml       a set of runs: a grid, seeds
  orrery verify --tier quick                   do published results reproduce?
  orrery ablate runs/quickstart-...            the effect of ablating each part of a network
  orrery compare runs/one runs/another         what two networks have in common
  orrery import published.pth --config c.toml  a run from a published network
  orrery export runs/... --out network.pth     a checkpoint for PyTorch
  orrery plugins                               the available tasks and probes
  orrery describe modular_arithmetic           one of them, and its parameters
  orrery new task NAME                         write one of your own
  orrery check build/plugins/task_mine.so      does it keep its side of the contract?)";

// Suggests the nearest command; CLI11 would only say that one is missing.
void refuse_unknown_command(const CLI::App& program, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands(nullptr)) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), argv[1]) == names.end())
    throw UsageError(fmt::format("there is no command \"{}\"{}", argv[1], did_you_mean(argv[1], names)),
                     fmt::format("there are: {}", fmt::join(names, ", ")));
}

// Writes every help text as a file of framework/start/help, for the launcher and the start program, which
// answer in our place before anything is built or loaded.
void write_help_texts(const CLI::App& program, const std::filesystem::path& folder) {
  write_file(folder / "orrery.txt", program.help());
  for (const CLI::App* command : program.get_subcommands(nullptr))
    write_file(folder / (command->get_name() + ".txt"), command->help("orrery"));
}

int run(int argc, char** argv) {
  CLI::App program("A laboratory for taking toy neural networks apart.", "orrery");
  program.footer(examples);
  program.set_version_flag("--version", "orrery " + version() + " (LibTorch " + torch_version() + ")");
  program.require_subcommand(1);
  program.option_defaults()->always_capture_default();
  std::vector<cli::Command> commands;
  for (const auto add :
       {cli::add_train, cli::add_probe, cli::add_show, cli::add_runs, cli::add_report, cli::add_compare,
        cli::add_verify, cli::add_sweep, cli::add_ablate, cli::add_patch, cli::add_import, cli::add_export,
        cli::add_plugins, cli::add_describe, cli::add_new, cli::add_check})
    commands.push_back(add(program));
  if (argc == 3 && argv[1] == std::string_view("--help-texts")) {
    write_help_texts(program, argv[2]);
    return 0;
  }
  refuse_unknown_command(program, argc, argv);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has a different exit code for each kind of mistake; ours is 2 for all of them.
    return program.exit(error, std::cout, std::cerr) == 0 ? 0 : 2;
  }
  for (const cli::Command& command : commands)
    if (command.app->parsed()) return command.run();
  return 2;
}

int report(const Error& error, int code) {
  cli::complain("error", error.what(), error.hint());
  return code;
}

// For the program that starts this one, which tries several kernels of the BLAS (framework/start/start.cpp).
int print_product_speed() {
  const engine::Kernels kernels = engine::kernels_in_use();
  std::cout << fmt::format("{}\n{}\n{:.0f}\n", kernels.blas, kernels.blas_core, engine::product_speed());
  return std::cout.flush() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && !std::strcmp(argv[1], "--product-speed")) return print_product_speed();
  // Before any thread begins: threads have of the thread that begins them whether they flush subnormals.
  engine::flush_subnormals(true);
  engine::tell_of_crashes(argc, argv, cli::styled(cli::Style::red, "error:"));
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    return report(error, 2);
  } catch (const Error& error) {
    return report(error, 1);
  } catch (const c10::Error& error) {
    return report(Error(std::string("LibTorch: ") + error.what_without_backtrace()), 1);
  } catch (const std::exception& error) {
    return report(Error(error.what()), 1);
  }
}
