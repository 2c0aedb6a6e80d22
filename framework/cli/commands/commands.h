// The commands of the program, one file each. Each adds itself to the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace orrery::engine {}

namespace orrery::cli {

using namespace engine;

/// A command returns the exit code: 0 for success, 1 for a failure, 2 for a wrong request, 130 if
/// interrupted.
struct Command {
  CLI::App* app;
  std::function<int()> run;
};

Command add_train(CLI::App& program);
Command add_probe(CLI::App& program);
Command add_show(CLI::App& program);
Command add_runs(CLI::App& program);
Command add_verify(CLI::App& program);
Command add_sweep(CLI::App& program);
Command add_ablate(CLI::App& program);
Command add_patch(CLI::App& program);
Command add_interchange(CLI::App& program);
Command add_circuit(CLI::App& program);
Command add_compare(CLI::App& program);
Command add_import(CLI::App& program);
Command add_export(CLI::App& program);
Command add_report(CLI::App& program);
Command add_prune(CLI::App& program);
Command add_plugins(CLI::App& program);
Command add_describe(CLI::App& program);
Command add_new(CLI::App& program);
Command add_check(CLI::App& program);
/// `orrery sweep report`.
Command add_sweep_report(CLI::App& sweep);

/// A check for integers. CLI11's own prints the bound and the type's largest number, all 309 digits of it.
CLI::Validator at_least(int64_t low);

/// `--plugin FILE`, for every command that uses plugins.
void add_plugin_option(CLI::App& command, std::vector<std::string>& files);

}  // namespace orrery::cli
