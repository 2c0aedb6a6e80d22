// orrery verify --gallery: a page, a record and pictures of what is finished.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

const std::string tiny = R"(
[task]
name = "modular_arithmetic"
p = 7
train_fraction = 0.5
[model]
d_model = 16
n_heads = 2
d_head = 8
d_mlp = 16
[train]
steps = 20
eval_every = 10
[checkpoints]
every = 10
[verify]
tier = "quick"
)";

std::string tiny_claiming(const std::string& bound, const std::string& claim) {
  return tiny + "[[expect]]\nmetric = \"train/loss\"\nbound = \"" + bound + "\"\nclaim = \"" + claim +
         "\"\nsource = \"Fig. 1\"\n";
}

const std::string tiny_sweep = R"(base = "../good.toml"
seeds = 3
[gallery]
title = "Three seeds"
figures = ["curves/train/loss", "points/loss"]
[[reading]]
name = "loss"
metric = "train/loss"
[[class]]
name = "learns"
if = "loss < 100"
[[expect]]
share = "learns"
bound = ">= 1"
claim = "all learn | always"
source = "Fig. 2"
)";

class GalleryProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    at.write("configs/a_2023/good.toml",
             tiny_claiming("< 100", "it learns") +
                 "[gallery]\ntext = \"A tiny one.\"\nfigures = [\"curves_loss\"]\n");
    at.write("configs/a_2023/bad.toml", tiny_claiming("> 100", "it fails"));
    at.write("configs/a_2023/later.toml", tiny_claiming("< 100", "later"));
    at.write("configs/a_2023/sweeps/seeds.toml", tiny_sweep);
    at.write("configs/a_2023/README.md",
             "# A text of 2023\n\n<!-- claims: made by orrery verify --gallery -->\n<!-- end of claims "
             "-->\n\nThe end.\n");
  }
  void TearDown() override { unsetenv("ORRERY_BROWSER"); }
  void verify(const std::string& file) {
    const Finished done = at.orrery({"verify", "configs/a_2023/" + file});
    ASSERT_LE(done.code, 1) << done.err;
  }
  Finished gallery(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"verify", "--gallery"});
    return at.orrery(more);
  }
  void expect_in_page(const std::string& part) {
    const std::string page = at.read("docs/reproductions.md");
    EXPECT_NE(page.find(part), std::string::npos) << part << "\n" << page;
  }
  static void without_browser() { setenv("ORRERY_BROWSER", "/nowhere/chromium", 1); }
  static bool has_browser() {
    for (const char* name : {"/usr/bin/chromium", "/usr/bin/google-chrome"})
      if (fs::exists(name)) return true;
    return false;
  }
  Workplace at;
};

TEST_F(GalleryProgram, ShowsWhatIsFinishedAndNamesTheRest) {
  without_browser();
  const Finished nothing = gallery();
  EXPECT_EQ(nothing.code, 1);
  EXPECT_NE(nothing.err.find("nothing is finished here"), std::string::npos) << nothing.err;
  EXPECT_FALSE(fs::exists(at.path("docs")));
  verify("good.toml");
  verify("bad.toml");
  verify("sweeps/seeds.toml");
  const auto runs = at.tree("runs");
  const Finished done = gallery();
  EXPECT_EQ(done.code, 1) << done.err;  // one claim fails
  EXPECT_EQ(at.tree("runs"), runs);     // nothing is trained
  for (const char* said : {"1 of 1 claims hold", "0 of 1 claims hold", "FAILED", "configs/a_2023/later.toml",
                           "there is no run in runs/verify/later"})
    EXPECT_NE(done.out.find(said), std::string::npos) << said << "\n" << done.out;
  EXPECT_NE(done.err.find("pictures stay as they are"), std::string::npos) << done.err;
  for (const char* part : {"## A text of 2023", "A tiny one.", "| it learns | Fig. 1 |", "### Three seeds",
                           "| all learn \\| always | Fig. 2 | `share of learns >= 1` | 1 (3 of 3); 95 %: ",
                           "n = 3 | yes |", "**no**", "- `orrery verify configs/a_2023/later.toml`"})
    expect_in_page(part);
  const std::string readme = at.read("configs/a_2023/README.md");
  EXPECT_NE(readme.find("| it learns | Fig. 1 | [good](good.toml) |"), std::string::npos) << readme;
  EXPECT_NE(readme.find("[sweep seeds](sweeps/seeds.toml)"), std::string::npos) << readme;
  EXPECT_TRUE(readme.ends_with("\n\nThe end.\n"));
  const auto docs = at.tree("docs"), configs = at.tree("configs");
  EXPECT_EQ(gallery().code, 1);
  EXPECT_EQ(at.tree("docs"), docs);  // the same bytes
  EXPECT_EQ(at.tree("configs"), configs);
  EXPECT_EQ(
      gallery({"configs/a_2023/good.toml", "--json"}).out.find("{\"config\":\"configs/a_2023/good.toml\","),
      0u);
}

TEST_F(GalleryProgram, ElsewhereItLeavesTheTablesOfTheTextsAsTheyAre) {
  without_browser();
  verify("good.toml");
  const auto configs = at.tree("configs");
  ASSERT_EQ(gallery({"--out", "elsewhere"}).code, 0);
  EXPECT_TRUE(fs::exists(at.path("elsewhere/reproductions.md")));
  EXPECT_EQ(at.tree("configs"), configs);
}

TEST_F(GalleryProgram, KeepsWhatWasMeasuredElsewhereFollowsMovesAndSaysWhatIsStale) {
  without_browser();
  verify("good.toml");
  ASSERT_EQ(gallery({"configs/a_2023/good.toml"}).code, 0);
  fs::remove_all(at.path("runs"));
  EXPECT_EQ(gallery().code, 0);
  expect_in_page("| it learns | Fig. 1 |");
  at.write("configs/b_2024/good.toml", tiny_claiming("< 99", "it learns") + "[train]\n");
  EXPECT_EQ(gallery().code, 2);  // two configs of one name; and one is no TOML
  fs::remove(at.path("configs/a_2023/sweeps/seeds.toml"));
  fs::remove(at.path("configs/a_2023/good.toml"));
  at.write("configs/b_2024/good.toml", tiny_claiming("< 99", "it learns"));
  const Finished moved = gallery();
  EXPECT_EQ(moved.code, 0) << moved.err;
  expect_in_page("## B 2024");
  expect_in_page("**Stale:** what it expects has changed");
  fs::remove(at.path("configs/b_2024/good.toml"));
  const Finished gone = gallery();
  EXPECT_NE(gone.err.find("this config is gone"), std::string::npos) << gone.err;
}

TEST_F(GalleryProgram, DrawsTheFiguresThatAreAskedForAndRefusesUnknownOnes) {
  if (!has_browser()) GTEST_SKIP() << "there is no Chromium here";
  verify("good.toml");
  verify("sweeps/seeds.toml");
  const Finished done = gallery();
  ASSERT_EQ(done.code, 0) << done.err;
  const std::vector<std::string> files = {"good-curves_loss.png", "sweep_seeds-curves_train_loss.png",
                                          "sweep_seeds-points_loss.png"};
  for (const std::string& file : files) {
    EXPECT_EQ(at.read("docs/images/reproductions/" + file).substr(1, 3), "PNG") << file;
    expect_in_page("images/reproductions/" + file);
  }
  without_browser();
  ASSERT_EQ(gallery().code, 0);
  expect_in_page(files[0]);  // pictures that are there stay
  unsetenv("ORRERY_BROWSER");
  const auto docs = at.tree("docs");
  at.write("configs/a_2023/good.toml",
           tiny_claiming("< 100", "it learns") + "[gallery]\nfigures = [\"curves_los\"]\n");
  const Finished refused = gallery();
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(
      refused.err.find("configs/a_2023/good.toml:24:1: gallery.figures: there is no figure \"curves_los\" "
                       "(did you mean \"curves_loss\"?)"),
      std::string::npos)
      << refused.err;
  EXPECT_EQ(at.tree("docs"), docs);  // nothing is half-written
}

}  // namespace
}  // namespace orrery
