// orrery new KIND NAME.
#include <fmt/format.h>
#include <orrery/error.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/text/terminal.h"
#include "engine/experiment/experiment.h"
#include "engine/scaffold/new_plugin.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct NewArguments {
  std::string kind, name, out, from;
};

// Two plugins of one name could not be loaded together, or would share a config.
void refuse_taken_name(const std::string& kind_name, const std::string& name,
                       const std::optional<fs::path>& tree) {
  if (is_frameworks(kind_name, name))
    throw UsageError(fmt::format("the {} \"{}\" is the framework's", kind_name, name), "choose another name");
  const auto registry = load_plugins({});
  for (const auto& plugin : registry->plugins())
    if (plugin->name == name)
      throw UsageError(fmt::format("there is {} \"{}\" already: {}", with_article(plugin->kind), name,
                                   plugin->file.string()),
                       "choose another name; `orrery plugins` lists those that are taken");
  for (const PluginKind kind : plugin_kinds)
    if (tree && fs::exists(*tree / folder_of(kind) / name / "CMakeLists.txt"))
      throw UsageError(
          fmt::format("{} exists already; nothing was written", (*tree / folder_of(kind) / name).string()),
          "choose another name, or move it away");
}

std::string next_in_tree(const NewArguments& options, const fs::path& root) {
  const std::string to_root = root == "." ? "" : root.string() + "/";
  const std::string launcher = (to_root.empty() ? "./" : to_root) + "orrery";
  return fmt::format(
      "next:\n"
      "  {0} train {1}configs/{2}.toml\n"
      "  {0} test -R {3}_{2}\n"
      "  {0} describe {2} --markdown    # the README's table, when the parameters change",
      launcher, to_root, options.name, options.kind);
}

std::string next_on_its_own(const NewArguments& options, const fs::path& folder) {
  return fmt::format(
      "next, in {0}:\n"
      "  cmake -B build\n"
      "  cmake --build build\n"
      "  orrery train {1}.toml --plugin build/plugins/{2}_{1}.so\n"
      "  ctest --test-dir build",
      folder.string(), options.name, options.kind);
}

int make_new(const NewArguments& options) {
  check_plugin_name(options.name);
  NewPlugin plugin{kind_named(options.kind), options.name};
  if (!options.from.empty()) {
    if (plugin.kind != PluginKind::probe)
      throw UsageError(fmt::format("--from: {} cannot start from Python", with_article(plugin.kind)),
                       "it is for probes: orrery new probe NAME --from FILE.py");
    plugin.python = read_python_probe(options.from, options.name);
  }
  auto tree = options.out.empty() ? source_tree_around(fs::current_path()) : std::nullopt;
  if (tree) tree = fs::relative(*tree);  // paths as a user would type them here
  const fs::path folder = fs::path(options.out) / options.name;
  refuse_taken_name(options.kind, options.name, tree);
  const auto files = tree ? files_in_tree(plugin, *tree) : files_on_their_own(plugin, folder);
  write_new(files);
  for (const NewFile& file : files) std::cout << file.path.lexically_normal().string() << "\n";
  std::cout << std::flush;
  if (plugin.python)
    note(fmt::format("measure() in {}.cpp is to be written; until then every measurement fails, and says so",
                     options.name));
  note(tree ? next_in_tree(options, *tree) : next_on_its_own(options, folder));
  return 0;
}

}  // namespace

Command add_new(CLI::App& program) {
  auto options = std::make_shared<NewArguments>();
  CLI::App* command =
      program.add_subcommand("new", "Write a new plugin: source, test, config, README, build");
  std::vector<std::string> kinds;
  for (const PluginKind kind : plugin_kinds) kinds.push_back(to_string(kind));
  command->add_option("kind", options->kind, "task, probe, loss, update or model")
      ->required()
      ->check(CLI::IsMember(kinds));
  command->add_option("name", options->name, "Its name: lower case letters, digits, underscores")
      ->required()
      ->type_name("NAME");
  command
      ->add_option("--out", options->out,
                   "Make the folder NAME in DIR, a project of its own; this is the default outside Orrery's "
                   "source tree, while in it the plugin joins the others")
      ->type_name("DIR");
  command
      ->add_option(
          "--from", options->from,
          "Start from a throw-away probe: the function under @orrery.probe in this Python file becomes "
          "a comment, and what it asks for needs(); measure() is to be written")
      ->type_name("FILE.py");
  command->footer(R"(The new plugin builds, passes its test and trains unchanged. Never overwrites a file.
Examples:
  orrery new task largest_digit
  orrery new update sign_descent
  orrery new probe head_entropy --out ~/probes
  orrery new probe head_entropy --from first_look.py)");
  return {command, [options] { return make_new(*options); }};
}

}  // namespace orrery::cli
