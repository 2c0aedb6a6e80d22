// What README.md shows is what works: its plugins (built by tests/plugins/readme), its config, its Python.
#include <gtest/gtest.h>

#include <cstdlib>

#include "markdown.h"
#include "run_program.h"

namespace orrery {
namespace {

std::vector<std::string> blocks(const std::string& language) {
  return blocks_in(source_file("README.md"), language);
}

// What it names beside the task is there.
TEST(Readme, ItsPartsOfTrainingTrain) {
  const Workplace at;
  at.write("parts.toml", "[task]\nname = \"modular_arithmetic\"\np = 5\n" + blocks("toml").at(0));
  const Finished done = at.orrery({"train", "parts.toml", "--out", "run", "--set", "train.steps=3"});
  EXPECT_EQ(done.code, 0) << done.err;
}

TEST(Readme, ItsPluginsTrainAndAreReadBack) {
  ASSERT_EQ(blocks("cpp").size(), 2u);
  ASSERT_EQ(blocks("toml").size(), 2u);
  ASSERT_EQ(setenv("ORRERY_PLUGIN_PATH", ORRERY_README_PLUGINS, 1), 0);
  Workplace at;
  at.write("majority.toml", blocks("toml")[1]);
  const Finished done = at.orrery({"train", "majority.toml", "--out", "runs/majority"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("test accuracy           reached 100 %"), std::string::npos) << done.err;
  EXPECT_NE(done.err.find("logit_margin"), std::string::npos) << done.err;

  const std::string python = python_with_pandas();
  ASSERT_NE(python, "");
  ASSERT_EQ(blocks("python").size(), 1u);
  at.write("read.py", blocks("python")[0]);
  const std::string command =
      "cd " + at.path("").string() + " && " + python + " read.py > read.out 2> read.err";
  EXPECT_EQ(std::system(command.c_str()), 0) << at.read("read.err");
  EXPECT_NE(at.read("read.out").find("test/accuracy"), std::string::npos) << at.read("read.out");
}

}  // namespace
}  // namespace orrery
