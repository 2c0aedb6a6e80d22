// orrery plugins, orrery describe NAME.
#include <iostream>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/plugins_text.h"
#include "engine/experiment/experiment.h"
#include "loader/describe.h"

namespace orrery::cli {

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
  CLI::App* command =
      program.add_subcommand("plugins", "List the available tasks and probes, and their files");
  command->add_flag("--json", options->json, "Print JSON");
  add_plugin_option(*command, options->files);
  command->footer(
      "Examples:\n  orrery plugins\n  ORRERY_PLUGIN_PATH=~/my_plugins/build/plugins orrery plugins --json");
  return {command, [options] {
            const auto registry = load_plugins(options->files);
            std::cout << (options->json ? plugins_json(*registry) : plugins_text(*registry));
            return 0;
          }};
}

Command add_describe(CLI::App& program) {
  auto options = std::make_shared<PluginsArguments>();
  CLI::App* command = program.add_subcommand("describe", "Describe a task or probe and list its parameters");
  command->add_option("name", options->name, "Its name, as `orrery plugins` lists it")->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->add_flag("--markdown", options->markdown, "Print the parameters as a Markdown table");
  add_plugin_option(*command, options->files);
  command->footer("Examples:\n  orrery describe modular_arithmetic\n  orrery describe trig_loss --json");
  return {command, [options] {
            const auto registry = load_plugins(options->files);
            for (const Plugin* plugin : registry->find(options->name))
              std::cout << (options->json       ? plugin_json(*plugin)
                            : options->markdown ? parameters_markdown(*plugin)
                                                : plugin_text(*plugin));
            return 0;
          }};
}

}  // namespace orrery::cli
