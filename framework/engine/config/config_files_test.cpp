// Finding configs: those below a folder, and one that has moved.
#include "engine/config/config_files.h"

#include "engine/config/sweep_file.h"
#include "tests/support/config_helpers.h"

namespace orrery::config_test {
namespace {

namespace fs = std::filesystem;

class ConfigFilesTest : public ConfigTest {
 protected:
  static void write(const fs::path& file, const std::string& text = "[task]\nname = 'sums'\n") {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  static std::string opening(const std::string& file) {
    return complaint([&] { Document::load(file); });
  }
  static std::vector<std::string> below(const std::string& folder) {
    std::vector<std::string> names;
    for (const fs::path& each : configs_below(folder)) names.push_back(each.string());
    return names;
  }
};

TEST_F(ConfigFilesTest, ThoseBelowAFolderAreFoundButNotPipelines) {
  write("configs/b.toml");
  write("configs/pearce_2023/a.toml");
  write("configs/pearce_2023/sweeps/a.toml", "base = '../a.toml'\n");
  write("configs/pipelines/p.toml", "steps = 'last'\n[[probe]]\nname = 'norms'\n");
  write("configs/pearce_2023/README.md", "text");
  EXPECT_EQ(below("configs"), (std::vector<std::string>{"configs/b.toml", "configs/pearce_2023/a.toml",
                                                        "configs/pearce_2023/sweeps/a.toml"}));
  EXPECT_EQ(
      complaint([] { configs_below("nowhere"); }),
      "nowhere: there is no such folder of configs | run it where configs/ lies, or give --configs DIR");
}

TEST_F(ConfigFilesTest, OneThatMovedIsNamed) {
  const std::string failed = ": cannot open the config: No such file or directory";
  EXPECT_EQ(opening("configs/a.toml"), "configs/a.toml" + failed);
  write("configs/pearce_2023/a.toml");
  EXPECT_EQ(opening("configs/a.toml"),
            "configs/a.toml" + failed + " | configs/a.toml is now configs/pearce_2023/a.toml");
  EXPECT_EQ(opening("a.toml"), "a.toml" + failed + " | a.toml is now configs/pearce_2023/a.toml");
  // A sweep of the same name is another file.
  write("configs/pearce_2023/sweeps/a.toml", "base = '../a.toml'\n");
  EXPECT_EQ(moved_to("configs/a.toml"), "configs/a.toml is now configs/pearce_2023/a.toml");
  EXPECT_EQ(moved_to("configs/sweeps/a.toml"),
            "configs/sweeps/a.toml is now configs/pearce_2023/sweeps/a.toml");
  write("configs/others/a.toml");
  EXPECT_EQ(moved_to("configs/a.toml"),
            "configs/a.toml is now configs/others/a.toml or configs/pearce_2023/a.toml");
  EXPECT_EQ(moved_to("configs/c.toml"), "");
  EXPECT_EQ(moved_to(fs::absolute("configs/sweeps/a.toml")).find("configs/pearce_2023/sweeps/a.toml") !=
                std::string::npos,
            true);
}

TEST_F(ConfigFilesTest, TheBaseOfASweepThatMovedIsNamed) {
  write("configs/pearce_2023/a.toml");
  write("configs/sweeps/s.toml", "base = '../a.toml'\n");
  EXPECT_EQ(
      complaint([] { read_sweep_file("configs/sweeps/s.toml"); }),
      "configs/sweeps/s.toml:1:8: base: configs/a.toml: cannot open the config: No such file or directory | "
      "configs/a.toml is now configs/pearce_2023/a.toml; the path of `base` is relative to the sweep's file");
}

TEST_F(ConfigFilesTest, NamesThatWouldShareARunAreRefused) {
  write("configs/a.toml");
  write("configs/x/a.toml");
  write("configs/x/sweeps/a.toml", "base = '../a.toml'\n");  // runs of sweeps have a folder of their own
  EXPECT_EQ(complaint([] {
              refuse_same_names({"configs/a.toml", "configs/x/sweeps/a.toml"});
            }),
            "no complaint");
  EXPECT_EQ(complaint([] { refuse_same_names({"configs/a.toml", "configs/a.toml"}); }), "no complaint");
  EXPECT_EQ(complaint([] {
              refuse_same_names({"configs/a.toml", "configs/x/a.toml"});
            }),
            "configs/a.toml and configs/x/a.toml are both called a, so they would share a folder | give one "
            "of them "
            "another name, at its top: name = \"...\"");
  write("configs/x/a.toml", "name = 'b'\n[task]\nname = 'sums'\n");
  EXPECT_EQ(complaint([] { refuse_same_names({"configs/a.toml", "configs/x/a.toml"}); }), "no complaint");
}

TEST(Configs, HaveNamesOfTheirOwn) {
  EXPECT_EQ(complaint([] { refuse_same_names(configs_below(ORRERY_SOURCE_DIR "/configs")); }),
            "no complaint");
}

}  // namespace
}  // namespace orrery::config_test
