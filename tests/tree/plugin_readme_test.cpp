// Every plugin in the tree can be loaded, and its README has the table of the parameters it really declares.
#include <engine/scaffold/new_plugin.h>
#include <loader/describe.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/loader_fixtures.h"

namespace orrery::test {
namespace {

namespace fs = std::filesystem;

void check(const Registry& registry, PluginKind kind, const fs::path& folder) {
  SCOPED_TRACE(folder.string());
  try {
    const Plugin& plugin = registry.find(kind, folder.filename());
    const std::string table = parameters_markdown(plugin);
    // The empty line after the table: a row too many is as wrong as one too few.
    EXPECT_TRUE(contains(contents(folder / "README.md") + "\n", "\n" + table + "\n"))
        << "README.md must contain exactly this table:\n\n"
        << table;
  } catch (const Error& error) {
    ADD_FAILURE() << error.what() << "\n" << error.hint();
  }
}

TEST(PluginReadme, HasTheDeclaredParameters) {
  Registry registry;
  if (fs::exists(ORRERY_PLUGIN_DIR)) registry.load_folder(ORRERY_PLUGIN_DIR);
  for (const Problem& problem : registry.problems()) ADD_FAILURE() << problem.text() << "\n" << problem.hint;
  const fs::path root = ORRERY_SOURCE_DIR;
  for (const PluginKind kind : plugin_kinds) {
    const fs::path room = root / engine::folder_of(kind);
    ASSERT_TRUE(fs::exists(room)) << room;
    for (const auto& entry : fs::directory_iterator(room))
      if (fs::exists(entry.path() / "CMakeLists.txt")) check(registry, kind, entry.path());
  }
}

// A test that CTest does not know is never run, and nobody is told.
TEST(PluginTests, AreKnownToCTest) {
  const fs::path root = ORRERY_SOURCE_DIR, build = fs::path(ORRERY_PLUGIN_DIR).parent_path();
  for (const PluginKind kind : plugin_kinds)
    for (const auto& entry : fs::directory_iterator(root / engine::folder_of(kind))) {
      if (!fs::exists(entry.path() / "CMakeLists.txt")) continue;
      const std::string name = entry.path().filename();
      EXPECT_TRUE(contains(contents(build / engine::folder_of(kind) / name / "CTestTestfile.cmake"),
                           "/" + to_string(kind) + "_" + name + "_test\""))
          << entry.path();
    }
}

}  // namespace
}  // namespace orrery::test
