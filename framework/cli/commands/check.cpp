// orrery check PLUGIN...: checks whether a plugin keeps its side of the contract.
#include <fmt/format.h>
#include <orrery/error.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/text/shown.h"
#include "cli/text/table.h"
#include "cli/text/terminal.h"
#include "engine/check/check_run.h"
#include "engine/check/check_suite.h"
#include "engine/experiment/experiment.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct CheckArguments {
  std::vector<std::string> plugins, files;
  CheckOptions how;
  bool all = false, json = false;
  int64_t limit = 120;
};

// A name has no slash and no extension.
bool is_file(const std::string& argument) {
  return argument.find('/') != std::string::npos || fs::path(argument).extension() == ".so";
}

// The plugin that `argument` names, loaded now if it is a file.
const Plugin& find_plugin(Registry& registry, const std::string& argument) {
  if (!is_file(argument)) {
    const std::vector<const Plugin*> found = registry.find(argument);
    if (found.size() > 1)
      throw UsageError(fmt::format("there are several plugins called \"{}\"", argument), "give the file");
    return *found.front();
  }
  registry.load_file(argument);
  for (const auto& plugin : registry.plugins())
    if (fs::equivalent(plugin->file, argument)) return *plugin;
  throw Error(fmt::format("{} was not loaded", argument));
}

std::vector<std::string> arguments_of(const CheckArguments& options, const Registry& registry) {
  if (options.all == !options.plugins.empty())
    throw UsageError("give plugins, by name or file, or --all",
                     "for example: orrery check build/plugins/task_mine.so");
  std::vector<std::string> arguments = options.plugins;
  if (options.all)
    for (const auto& plugin : registry.plugins()) arguments.push_back(plugin->file.string());
  for (const std::string& argument : arguments) {
    if (!is_file(argument)) registry.find(argument);  // throws
    if (is_file(argument) && !fs::exists(argument))
      throw UsageError(fmt::format("{}: there is no such file", argument));
  }
  if (arguments.size() != 1 && !options.how.overrides.empty())
    throw UsageError("--set is for one plugin at a time",
                     "leave it out, or name the one plugin that it is for");
  if (!options.how.config.empty() && !options.how.task.empty())
    throw UsageError("--config and --task both say on which task", "give one of them");
  return arguments;
}

// A line for each check; for failures also what was seen and what to do.
std::string result_text(const std::string& name, const checks::Result& result) {
  const std::string verdict =
      result.verdict == checks::Verdict::failed ? "FAILED" : to_string(result.verdict);
  if (result.verdict != checks::Verdict::failed) {
    std::string line = fmt::format("  {:<14}  {:<46}{}", verdict, name, result.seen);
    return line.erase(line.find_last_not_of(' ') + 1) + "\n";
  }
  const std::string margin(18, ' ');
  std::string text =
      fmt::format("  {:<14}  {}\n{}{}\n", verdict, name, margin, indented(shortened(result.seen), margin));
  if (!result.advice.empty()) text += fmt::format("{}-> {}\n", margin, indented(result.advice, margin));
  return text;
}

std::string title(const CheckedPlugin& plugin, const std::string& argument) {
  return plugin.name.empty() ? argument : fmt::format("{} {} {}", plugin.kind, plugin.name, plugin.version);
}

std::string count_text(const CheckedPlugin& plugin) {
  const int64_t bad = plugin.count(checks::Verdict::failed),
                idle = plugin.count(checks::Verdict::not_applicable);
  const std::string tail = idle > 0 ? fmt::format(", {} not applicable", idle) : "";
  return bad > 0
             ? fmt::format("{} of {} failed{}", bad, checks::counted(plugin.results.size(), "check"), tail)
             : fmt::format("{} passed{}", checks::counted(plugin.count(checks::Verdict::ok), "check"), tail);
}

// The short form for several plugins: only the failures.
std::string plugin_text(const CheckedPlugin& plugin, const std::string& argument, bool brief) {
  std::string lines;
  for (const auto& [name, result] : plugin.results)
    if (!brief || result.verdict == checks::Verdict::failed) lines += result_text(name, result);
  if (brief)
    return fmt::format("{:<8}{:<34}{}\n{}", plugin.passed() ? "ok" : "FAILED", title(plugin, argument),
                       count_text(plugin), lines);
  return fmt::format("{}{}\n{}{}: {}\n", title(plugin, argument),
                     plugin.file.empty() ? "" : "  " + plugin.file, lines, plugin.passed() ? "ok" : "FAILED",
                     count_text(plugin));
}

std::string plugin_json(const CheckedPlugin& plugin, const std::string& argument) {
  using json = nlohmann::ordered_json;
  json results = json::array();
  for (const auto& [name, result] : plugin.results)
    results.push_back({{"name", name},
                       {"verdict", to_string(result.verdict)},
                       {"seen", result.seen},
                       {"advice", result.advice}});
  const json object = {{"plugin", argument},          {"kind", plugin.kind}, {"name", plugin.name},
                       {"version", plugin.version},   {"file", plugin.file}, {"passed", plugin.passed()},
                       {"checks", std::move(results)}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

CheckedPlugin check_one(const CheckArguments& options, Registry& registry, const std::string& argument,
                        Progress& progress, int64_t number) {
  return run_checks({
      .make =
          [&](const checks::Note& note) {
            return make_suite(registry, find_plugin(registry, argument), options.how, note);
          },
      .argument = argument,
      .limit = options.limit,
      .progress =
          [&](const std::string& check, size_t, size_t) {
            if (progress.due())
              progress.show(number, fmt::format("{}: {}", fs::path(argument).stem().string(), check));
          },
  });
}

int check(const CheckArguments& options) {
  const auto registry = load_plugins(options.files);
  const std::vector<std::string> arguments = arguments_of(options, *registry);
  std::string text;
  bool good = true;
  {
    const auto progress = terminal().progress(static_cast<int64_t>(arguments.size()), "plugins");
    for (size_t i = 0; i < arguments.size(); ++i) {
      const CheckedPlugin plugin =
          check_one(options, *registry, arguments[i], *progress, static_cast<int64_t>(i));
      good = good && plugin.passed();
      text += options.json ? plugin_json(plugin, arguments[i])
                           : plugin_text(plugin, arguments[i], /*brief=*/arguments.size() > 1);
    }
  }
  std::cout << text;
  return good ? 0 : 1;
}

}  // namespace

Command add_check(CLI::App& program) {
  auto options = std::make_shared<CheckArguments>();
  CLI::App* command = program.add_subcommand("check", "Check that a plugin keeps its side of the contract");
  command->add_option("plugins", options->plugins, "Files, or names as `orrery plugins` lists them")
      ->type_name("PLUGIN");
  command->add_flag("--all", options->all, "Check every loaded plugin");
  command->add_option("--set", options->how.overrides, "A parameter of the plugin, e.g. p=31")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--task", options->how.task, "Check a probe on this task, made small")
      ->type_name("NAME");
  command->add_option("--config", options->how.config, "Check a probe on the task and model of a config")
      ->type_name("CONFIG");
  command->add_option("--limit", options->limit, "Time limit of one check, in seconds")->check(at_least(1));
  command->add_flag("--json", options->json, "Print a line of JSON for each plugin");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(Exits with 1 if a check fails. Each plugin runs in its own process: a crash fails one check only.
A probe is checked on small networks, random and trained for 40 steps, on the smallest tasks that meet its needs.
Examples:
  orrery check build/plugins/task_mine.so
  orrery check modular_arithmetic --set p=31 --set operation=subtract
  orrery check build/plugins/probe_mine.so --config configs/quickstart.toml
  orrery check --all --json)");
  return {command, [options] { return check(*options); }};
}

}  // namespace orrery::cli
