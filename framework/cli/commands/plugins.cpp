// orrery plugins, orrery describe NAME.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/plugins_text.h"
#include "cli/text/terminal.h"
#include "engine/config/parse_text.h"
#include "engine/config/reference.h"
#include "engine/experiment/experiment.h"
#include "loader/describe.h"

namespace orrery::cli {

CLI::Validator at_least(int64_t low) {
  return {[low](const std::string& text) {
            const auto number = parse_integer(text);
            return number && *number >= low ? std::string()
                                            : fmt::format("expected an integer >= {}, got {}", low, text);
          },
          low == 0   ? "NONNEGATIVE"
          : low == 1 ? "POSITIVE"
                     : fmt::format(">= {}", low)};
}

void add_plugin_option(CLI::App& command, std::vector<std::string>& files) {
  command
      .add_option("--plugin", files,
                  "A plugin to load besides the built-in ones and those in ORRERY_PLUGIN_PATH")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

namespace {

struct PluginsArguments {
  std::vector<std::string> files;
  std::string name;
  bool json = false;
  bool markdown = false;
};

}  // namespace

Command add_plugins(CLI::App& program) {
  auto options = std::make_shared<PluginsArguments>();
  CLI::App* command = program.add_subcommand("plugins", "List the available plugins, and their files");
  command->add_flag("--json", options->json, "Print JSON");
  add_plugin_option(*command, options->files);
  command->footer(
      "Examples:\n  orrery plugins\n  ORRERY_PLUGIN_PATH=~/my_plugins/build/plugins orrery plugins --json");
  return {command, [options] {
            const auto registry = load_plugins(options->files);
            std::cout << (options->json ? plugins_json(*registry) : plugins_text(*registry, line_limit()));
            return 0;
          }};
}

namespace {

// What there is to describe, a kind a line.
std::string describable(const Registry& registry) {
  std::vector<std::string> tables;
  for (const ConfigTable& table : config_tables()) tables.push_back(table.name);
  std::string out;
  for (const PluginKind kind : plugin_kinds) {
    std::vector<std::string> names;
    for (const auto& plugin : registry.plugins())
      if (plugin->kind == kind) names.push_back(plugin->name);
    out += fmt::format("{}: {}\n  ", plural(kind),
                       names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")));
  }
  return out + fmt::format("tables of a config: {}", fmt::join(tables, ", "));
}

// What nothing is called, with the nearest name of any kind, and why a plugin of that name was not loaded.
[[noreturn]] void refuse_name(const Registry& registry, const std::string& name) {
  std::vector<std::string> names;
  for (const ConfigTable& table : config_tables()) names.push_back(table.name);
  for (const auto& plugin : registry.plugins()) names.push_back(plugin->name);
  const auto further_lines = [](const std::string& text) {
    return text.substr(std::min(text.find('\n'), text.size()));
  };
  std::string problems, how_to_load;
  try {
    registry.find(name);
  } catch (const UsageError& error) {
    if (!std::string(error.what()).starts_with("no plugin")) throw;  // two of that name
    problems = further_lines(error.what());
    how_to_load = further_lines(error.hint());
  }
  throw UsageError(
      fmt::format("no plugin or table of a config \"{}\"{}{}", name, did_you_mean(name, names), problems),
      describable(registry) + how_to_load);
}

// A table of a config, and any plugin of that name.
std::string description(const PluginsArguments& options) {
  const std::vector<ConfigTable> tables = config_tables(options.name);
  std::string out;
  if (!tables.empty())
    out = options.json       ? config_json(tables)
          : options.markdown ? config_markdown(tables)
                             : config_text(tables, line_limit());
  const auto registry = load_plugins(options.files);
  const auto named = [&](const auto& plugin) { return plugin->name == options.name; };
  if (std::none_of(registry->plugins().begin(), registry->plugins().end(), named)) {
    if (!tables.empty()) return out;
    refuse_name(*registry, options.name);
  }
  for (const Plugin* plugin : registry->find(options.name))
    out += options.json       ? plugin_json(*plugin)
           : options.markdown ? parameters_markdown(*plugin)
                              : cli::plugin_text(*plugin, line_limit());
  return out;
}

}  // namespace

Command add_describe(CLI::App& program) {
  auto options = std::make_shared<PluginsArguments>();
  CLI::App* command =
      program.add_subcommand("describe", "Describe a plugin or a table of a config: every key");
  command->add_option(
      "name", options->name,
      "A plugin, as `orrery plugins` lists it; config for every key of a config; or a table of it, such as "
      "train, update, checkpoints, probe, expect, transformer, mlp, pipeline");
  command->add_flag("--json", options->json, "Print JSON");
  command->add_flag("--markdown", options->markdown, "Print the keys as Markdown tables");
  add_plugin_option(*command, options->files);
  command->footer(R"(Examples:
  orrery describe modular_arithmetic
  orrery describe trig_loss --json
  orrery describe config
  orrery describe train)");
  return {command, [options] {
            if (options->name.empty())
              throw UsageError("say what to describe", describable(*load_plugins(options->files)));
            std::cout << description(*options);
            return 0;
          }};
}

}  // namespace orrery::cli
