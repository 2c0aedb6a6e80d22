// The program: parses the command line, runs one command, turns errors into messages and exit codes.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/version.h>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/help_format.h"
#include "cli/text/shown.h"
#include "cli/text/terminal.h"
#include "engine/processes/crash.h"
#include "engine/run/kernels.h"
#include "engine/train/hardware.h"
#include "loader/surroundings.h"
#include "sdk/files/atomic_file.h"

namespace {

using namespace orrery;

constexpr const char* examples = R"(Examples:
  orrery train configs/quickstart.toml         train a network until it groks
  orrery train --resume runs/quickstart-...    resume after an interruption
  orrery show runs/quickstart-...              state, curves, results of probes
  orrery runs                                  all runs: differences, endings
  orrery probe runs/quickstart-... --json      every checkpoint, as JSON lines
  orrery report runs/quickstart-...            the run as one HTML page
  orrery sweep run configs/sweeps/x.toml       a set of runs: a grid, seeds
  orrery verify --tier quick                   do published results reproduce?
  orrery ablate runs/quickstart-...            what each part does
  orrery interchange runs/quickstart-...       where each variable is used
  orrery compare runs/one runs/another         what two networks have in common
  orrery import published.pth --config c.toml  a run from a published network
  orrery export runs/... --out network.pth     a checkpoint for PyTorch
  orrery plugins                               the available plugins
  orrery describe modular_arithmetic           one of them, and its parameters
  orrery describe config                       every key of a config
  orrery new task NAME                         write one of your own
  orrery check build/plugins/task_mine.so      does it keep the contract?
`orrery COMMAND --help` and `orrery help COMMAND` describe one command.)";

// Suggests the nearest command; CLI11 would only say that one is missing.
void refuse_unknown_command(const CLI::App& program, const std::string& command) {
  if (command.starts_with("-")) return;
  std::vector<std::string> names;
  for (const CLI::App* known : program.get_subcommands(nullptr)) names.push_back(known->get_name());
  if (std::find(names.begin(), names.end(), command) == names.end())
    throw UsageError(fmt::format("there is no command \"{}\"{}", command, did_you_mean(command, names)),
                     fmt::format("there are: {}", fmt::join(names, ", ")));
}

// Writes every help text as a file of framework/start/help, for the launcher and the start program, which
// answer in our place before anything is built or loaded.
void write_help_texts(const CLI::App& program, const std::filesystem::path& folder) {
  write_file(folder / "orrery.txt", program.help());
  for (const CLI::App* command : program.get_subcommands(nullptr))
    write_file(folder / (command->get_name() + ".txt"), command->help("orrery"));
}

// `orrery`, `orrery help` and `orrery help COMMAND` as --help answers them.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return {"--help"};
  if (arguments.front() != "help") return arguments;
  arguments.erase(arguments.begin());
  arguments.emplace_back("--help");
  return arguments;
}

// "orrery train --help" for what went wrong in `orrery train ...`.
std::string help_command(const std::vector<std::string>& arguments) {
  std::string command;
  for (const std::string& word : arguments) {  // "sweep run" before the first option or file
    if (word.empty() || !std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
      break;
    command += word + " ";
    if (word != "sweep") break;
  }
  return fmt::format("orrery {}--help says what there is", command);
}

int run(const std::vector<std::string>& arguments) {
  CLI::App program("A laboratory for taking toy neural networks apart.", "orrery");
  program.formatter(std::make_shared<cli::HelpFormat>());
  program.footer(examples);
  program.set_version_flag("--version", "orrery " + version() + " (LibTorch " + torch_version() + ")");
  program.require_subcommand(1);
  program.option_defaults()->always_capture_default();
  std::vector<cli::Command> commands;
  for (const auto add : {cli::add_train, cli::add_probe, cli::add_show, cli::add_runs, cli::add_report,
                         cli::add_compare, cli::add_verify, cli::add_sweep, cli::add_ablate, cli::add_patch,
                         cli::add_circuit, cli::add_interchange, cli::add_import, cli::add_export,
                         cli::add_prune, cli::add_plugins, cli::add_describe, cli::add_new, cli::add_check})
    commands.push_back(add(program));
  if (arguments.size() == 2 && arguments[0] == "--help-texts") {
    write_help_texts(program, arguments[1]);
    return 0;
  }
  refuse_unknown_command(program, arguments.front());
  try {
    program.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error, std::cout);  // --help, --version
    // CLI11 has a different exit code for each kind of mistake; ours is 2 for all of them.
    throw UsageError(error.what(), help_command(arguments));
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

int run_and_report(int argc, char** argv) {
  try {
    return run(arguments_of(argc, argv));
  } catch (const UsageError& error) {
    return report(error, 2);
  } catch (const Error& error) {
    return report(error, 1);
  } catch (const c10::Error& error) {
    return report(Error(std::string("LibTorch: ") + error.what_without_backtrace()), 1);
  } catch (const std::bad_alloc&) {
    return report(Error("there is not enough memory for this",
                        "raise the limit (ulimit -v), end other programs, or make the network, the data or "
                        "the number of jobs smaller"),
                  1);
  } catch (const std::exception& error) {
    return report(Error(error.what()), 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  // The limit on file sizes (ulimit -f): write(2) then fails, and we can say so.
  std::signal(SIGXFSZ, SIG_IGN);
  if (argc == 2 && !std::strcmp(argv[1], "--product-speed")) return print_product_speed();
  // Before any thread begins: threads have of the thread that begins them whether they flush subnormals.
  engine::flush_subnormals(true);
  engine::tell_of_crashes(argc, argv, cli::shown(cli::styled(cli::Style::red, "error:")));
  listen_for_disturbances(
      each_kind_once([](const Disturbance& change) { cli::complain("warning", change.what, change.hint); }));
  cli::ShownOutput output(STDOUT_FILENO);
  std::streambuf* const before = std::cout.rdbuf(&output);
  const int code = run_and_report(argc, argv);
  std::cout.rdbuf(before);
  if (const int failure = output.finish()) {
    cli::complain("error", fmt::format("cannot write to stdout: {}", std::strerror(failure)),
                  "what it was to show is not complete");
    return code == 0 ? 1 : code;
  }
  return code;
}
