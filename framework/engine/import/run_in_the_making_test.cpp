#include "engine/import/run_in_the_making.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using orrery::testing::error_of;
using orrery::testing::expect_holds;
using orrery::testing::TestFolder;

// The id of a process that has ended.
pid_t gone() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

TEST(RunInTheMaking, has_its_name_when_it_is_complete) {
  const TestFolder folder;
  {
    RunInTheMaking making(folder / "run");
    EXPECT_FALSE(fs::exists(folder / "run"));
    making.finish();
  }
  EXPECT_TRUE(fs::exists(folder / "run/checkpoints"));
  { RunInTheMaking never_finished(folder / "other"); }
  EXPECT_EQ(folder.count(), 1u);
  expect_holds(error_of([&] { RunInTheMaking again(folder / "run"); }), "never overwrites");
}

TEST(RunInTheMaking, removes_what_killed_imports_left) {
  const TestFolder folder;
  const std::string dead = std::to_string(gone()), alive = std::to_string(::getppid());
  for (const std::string& name :
       {".run.importing-" + dead, ".other.importing-" + dead, ".locked.importing-" + dead,
        ".run.importing-" + alive, std::string(".run.importing-x"), std::string(".importing"),
        "run.importing-" + dead})
    fs::create_directories(folder / name / "checkpoints");
  std::ofstream(folder / (".file.importing-" + dead)) << "not ours";
  fs::create_directory_symlink(folder / ".importing", folder / (".link.importing-" + dead));
  // By a process that is not on this machine, perhaps.
  const RunLock lock(folder / (".locked.importing-" + dead));
  { RunInTheMaking making(folder / "run"); }
  for (const std::string& name : {".run.importing-" + dead, ".other.importing-" + dead})
    EXPECT_FALSE(fs::exists(folder / name)) << name;
  for (const std::string& name :
       {".locked.importing-" + dead, ".run.importing-" + alive, std::string(".run.importing-x"),
        std::string(".importing"), "run.importing-" + dead, ".file.importing-" + dead,
        ".link.importing-" + dead})
    EXPECT_TRUE(fs::exists(folder / name)) << name;
}

}  // namespace
}  // namespace orrery::engine
