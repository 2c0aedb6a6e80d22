// The program: parses the command line, runs one command, turns errors into messages and exit codes.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/version.h>

#include <algorithm>
#include <iostream>

#include "commands.h"
#include "terminal.h"

namespace {

using namespace orrery;

constexpr const char* examples = R"(Examples:
  orrery train configs/quickstart.toml         train a network until it groks
  orrery train --resume runs/quickstart-...    go on after an interruption
  orrery probe runs/quickstart-... --json      probe every checkpoint, as JSON lines
  orrery report runs/quickstart-...            the run as one HTML page
  orrery verify --tier quick                   do published results reproduce?
  orrery ablate runs/quickstart-...            what a network loses without each of its parts
  orrery compare runs/one runs/another         what two networks have in common
  orrery import published.pth --config c.toml  a run out of a published network
  orrery export runs/... --out network.pth     a checkpoint for PyTorch
  orrery plugins                               which tasks and probes there are
  orrery describe modular_arithmetic           what one does, and its parameters
  orrery new task NAME                         write one of your own)";

// CLI11 would only say that a command is missing.
void refuse_unknown_command(const CLI::App& program, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands(nullptr)) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), argv[1]) == names.end())
    throw UsageError(fmt::format("there is no command \"{}\"{}", argv[1], did_you_mean(argv[1], names)),
                     fmt::format("there are: {}", fmt::join(names, ", ")));
}

int run(int argc, char** argv) {
  CLI::App program("A laboratory for taking toy neural networks apart.", "orrery");
  program.footer(examples);
  program.set_version_flag("--version", "orrery " + version() + " (LibTorch " + torch_version() + ")");
  program.require_subcommand(1);
  program.option_defaults()->always_capture_default();
  const std::vector<cli::Command> commands = {
      cli::add_train(program),   cli::add_probe(program),    cli::add_verify(program),
      cli::add_ablate(program),  cli::add_patch(program),    cli::add_compare(program),
      cli::add_import(program),  cli::add_export(program),   cli::add_report(program),
      cli::add_plugins(program), cli::add_describe(program), cli::add_new(program)};
  refuse_unknown_command(program, argc, argv);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has a code of its own for each kind of mistake; for us they are all misuse.
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

}  // namespace

int main(int argc, char** argv) {
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
