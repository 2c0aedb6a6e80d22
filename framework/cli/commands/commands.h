// The commands of the program; each lives in a file of its own and adds itself to the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace orrery::engine {}

namespace orrery::cli {

using namespace engine;

/// What a command returns is the exit code: 0, 1 where something failed, 2 where the request was wrong, 130
/// where it was interrupted.
struct Command {
  CLI::App* app;
  std::function<int()> run;
};

Command add_train(CLI::App& program);
Command add_probe(CLI::App& program);
Command add_show(CLI::App& program);
Command add_runs(CLI::App& program);
Command add_verify(CLI::App& program);
Command add_ablate(CLI::App& program);
Command add_patch(CLI::App& program);
Command add_compare(CLI::App& program);
Command add_import(CLI::App& program);
Command add_export(CLI::App& program);
Command add_report(CLI::App& program);
Command add_plugins(CLI::App& program);
Command add_describe(CLI::App& program);
Command add_new(CLI::App& program);
Command add_check(CLI::App& program);

/// `--plugin FILE`, for every command that uses plugins.
void add_plugin_option(CLI::App& command, std::vector<std::string>& files);

}  // namespace orrery::cli
