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
bool is_of_the_launcher(const std::string& command) { return command == "test" || command == "build"; }

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
