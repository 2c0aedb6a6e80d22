// Every command that README.md or a page in docs/ shows is one that exists, with flags that exist.
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <regex>
#include <sstream>

#include "markdown.h"
#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> pages() {
  std::vector<std::string> found = {"README.md", "CONTRIBUTING.md"};
  for (const auto& file : fs::directory_iterator(ORRERY_SOURCE_DIR "/docs"))
    if (file.path().extension() == ".md") found.push_back("docs/" + file.path().filename().string());
  return found;
}

// {"sweep", "run"} of "./orrery sweep run x.toml --jobs 2"; empty if the line shows no command.
std::vector<std::string> command_in(const std::string& line) {
  static const std::regex shown(R"(^(?:\S+=\S+ )*(?:\./)?orrery (sweep [a-z]+|[a-z]+)\b)");
  std::smatch match;
  if (!std::regex_search(line, match, shown)) return {};
  std::istringstream words(match[1]);
  return {std::istream_iterator<std::string>(words), {}};
}

// What the launcher answers itself.
bool is_of_the_launcher(const std::string& command) {
  return command == "test" || command == "build" || command == "python";
}

void expect_exists(const Workplace& at, std::vector<std::string> command, const std::string& line) {
  command.emplace_back("--help");
  const Finished help = at.orrery(command);
  EXPECT_EQ(help.code, 0) << line;
  const std::string shown = line.substr(0, line.find('#'));
  const std::regex flag(R"(\s(--[a-z-]+))");
  for (std::sregex_iterator it(shown.begin(), shown.end(), flag), end; it != end; ++it)
    EXPECT_NE(help.out.find((*it)[1]), std::string::npos) << line;
}

TEST(Docs, TheirCommandsExist) {
  const Workplace at;
  size_t commands = 0;
  for (const std::string& page : pages()) {
    SCOPED_TRACE(page);
    for (const std::string& block : blocks_in(source_file(page), "sh")) {
      std::istringstream lines(block);
      for (std::string line; std::getline(lines, line);)
        if (const auto command = command_in(line); !command.empty() && !is_of_the_launcher(command[0])) {
          ++commands;
          expect_exists(at, command, line);
        }
    }
  }
  EXPECT_GE(commands, 30u);
}

// The config that the README of a task shows is one to paste and train.
TEST(Docs, ConfigsOfTasksTrain) {
  const Workplace at;
  // The file that the README of the task `table` takes for granted.
  fs::create_directories(at.path("published"));
  std::string examples;
  for (const char* number : {"1", "2", "3", "4"})
    examples += std::string(number) + " 0 0 0 5 0 0 0 6 0 0 0 " + number + " | 1 2 3 4\n";
  at.write("published/sums.txt", examples);
  size_t configs = 0;
  for (const auto& task : fs::directory_iterator(ORRERY_SOURCE_DIR "/tasks")) {
    const std::string name = task.path().filename().string();
    if (!fs::exists(task.path() / "README.md")) continue;
    SCOPED_TRACE(name);
    const auto blocks = blocks_in(source_file("tasks/" + name + "/README.md"), "toml");
    EXPECT_FALSE(blocks.empty());
    for (const std::string& block : blocks) {
      const std::string run = name + std::to_string(++configs);
      at.write("c.toml", block);
      const Finished done = at.orrery(
          {"train", "c.toml", "--out", run, "--set", "train.steps=1", "--set", "train.eval_every=1"});
      EXPECT_EQ(done.code, 0) << block << done.err;
    }
  }
  EXPECT_GE(configs, 15u);
}

// Tasks, probes, losses, ... that have a README.
TEST(Docs, EveryPluginIsLinkedFromTheReadme) {
  const std::string readme = source_file("README.md");
  size_t plugins = 0;
  for (const std::string folder : {"tasks", "probes", "plugins/losses", "plugins/updates", "plugins/models"})
    for (const auto& plugin : fs::directory_iterator(ORRERY_SOURCE_DIR "/" + folder)) {
      const std::string page = folder + "/" + plugin.path().filename().string() + "/README.md";
      if (!fs::exists(plugin.path() / "README.md")) continue;
      EXPECT_NE(readme.find("](" + page + ")"), std::string::npos) << page;
      ++plugins;
    }
  EXPECT_GE(plugins, 60u);
}

// "8,000" of "steps = 8000" or "steps = 8_000"; "" where there is none.
std::string steps_of(const std::string& config) {
  static const std::regex line(R"(\nsteps = ([0-9_]+))");
  std::smatch match;
  if (!std::regex_search(config, match, line)) return "";
  std::string digits = match[1];
  std::erase(digits, '_');
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

TEST(Docs, EveryConfigIsListedWithItsSteps) {
  const std::string page = source_file("docs/configs.md");
  for (const auto& file : fs::recursive_directory_iterator(ORRERY_SOURCE_DIR "/configs")) {
    const std::string name = fs::relative(file.path(), ORRERY_SOURCE_DIR "/configs").string();
    if (file.path().extension() != ".toml" || name.starts_with("pipelines/")) continue;
    const size_t row = page.find("\n| [" + name + "](../configs/" + name + ") | ");
    ASSERT_NE(row, std::string::npos) << name;
    const std::string line = page.substr(row + 1, page.find('\n', row + 1) - row - 1);
    if (name.find("sweeps/") != std::string::npos) continue;
    EXPECT_NE(line.find(" | " + steps_of(source_file("configs/" + name)) + " | "), std::string::npos) << line;
  }
}

TEST(Docs, AreListedOnTheirFirstPage) {
  const std::string index = source_file("docs/README.md");
  for (const auto& file : fs::directory_iterator(ORRERY_SOURCE_DIR "/docs")) {
    const std::string name = file.path().filename().string();
    if (!name.ends_with(".md") || name == "README.md") continue;
    EXPECT_NE(index.find("| [" + name + "](" + name + ") |"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace orrery
