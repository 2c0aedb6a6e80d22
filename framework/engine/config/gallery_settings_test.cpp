// [gallery] and the claims of [[expect]]: what is read, what is refused, and that they make no other run.
#include "engine/config/gallery_settings.h"

#include "engine/config/config_keys.h"
#include "engine/config/sweep_file.h"
#include "tests/support/config_helpers.h"

namespace orrery::config_test {
namespace {

const std::string sums_task = "[task]\nname = 'sums'\n";

class GalleryTest : public ConfigTest {
 protected:
  static Settings resolved(const std::string& text) { return resolve(load(text), parameters_of); }
  static std::string refused(const std::string& text) {
    return complaint([&] { resolved(text); });
  }
  static SweepFile sweep(const std::string& text) {
    load(sums_task);
    std::ofstream("configs/s.toml") << "base = 'x.toml'\n" + text;
    return read_sweep_file("configs/s.toml");
  }
};

TEST_F(GalleryTest, IsReadWithItsDefaults) {
  const GallerySettings none = resolved(sums_task).gallery;
  EXPECT_EQ(none.title + none.text, "");
  EXPECT_TRUE(none.figures.empty());
  EXPECT_EQ(none.figure_steps, "last");
  const GallerySettings read =
      resolved(sums_task + "[gallery]\ntitle = 'A circle'\ntext = \"\"\"\nOne.\nTwo.\n\"\"\"\n" +
               "figures = ['curves_loss', 'neuron_waves_*']\nfigure_steps = '0,last'\n")
          .gallery;
  EXPECT_EQ(read.title, "A circle");
  EXPECT_EQ(read.text, "One. Two.");
  EXPECT_EQ(read.figures, (std::vector<std::string>{"curves_loss", "neuron_waves_*"}));
  EXPECT_EQ(read.figure_steps, "0,last");
  EXPECT_EQ(read.place, "configs/x.toml:9:1");
}

TEST_F(GalleryTest, MistakesNameTheirPlace) {
  EXPECT_EQ(
      refused(sums_task + "[gallery]\nfigure = ['x']\n"),
      "configs/x.toml:4:1: [gallery] has no key \"figure\" (did you mean \"figures\"?) | its keys are title, "
      "text, figures, figure_steps");
  EXPECT_EQ(refused(sums_task + "[gallery]\ntitle = \"a\\nb\"\n"),
            "configs/x.toml:4:1: gallery.title: expected one line of text, got \"a\\u000ab\"");
  EXPECT_NE(refused(sums_task + "[gallery]\nfigure_steps = 'soon'\n")
                .find("configs/x.toml:4:1: gallery.figure_steps: expected \"all\""),
            std::string::npos);
}

TEST_F(GalleryTest, OfASweepHasNoSteps) {
  EXPECT_EQ(sweep("[gallery]\ntitle = 'T'\nfigures = ['points/*']\n").gallery.title, "T");
  EXPECT_EQ(complaint([] { sweep("[gallery]\nfigure_steps = 'last'\n"); }),
            "configs/s.toml:3:1: [gallery] has no key \"figure_steps\" | its keys are title, text, figures");
  EXPECT_EQ(complaint([] { sweep("[set]\ngallery.title = 'T'\n"); }),
            "configs/s.toml:3:1: gallery: a sweep cannot set this: it does not change the run");
}

TEST_F(GalleryTest, ComesBackFromJson) {
  const std::string json =
      to_json(resolved(sums_task + "[gallery]\ntitle = 'T'\ntext = 'x'\nfigures = ['f']\n" +
                       "[[expect]]\nmetric = 'm'\nbound = '> 0'\nclaim = 'c'\nsource = 's'\n"));
  const Settings after = resolve(Document::from_json(json, "run.json"), parameters_of);
  EXPECT_EQ(to_json(after), json);
  EXPECT_EQ(after.gallery.title, "T");
  EXPECT_EQ(after.expectations.at(0).claim, "c");
}

TEST_F(GalleryTest, AClaimIsOneLineAndIsCitedWithItsSource) {
  const std::string entry = sums_task + "[[expect]]\nmetric = 'm'\nbound = '> 0'\nsource = 'Fig. 9'\n";
  EXPECT_EQ(resolved(entry).expectations.at(0).claim, "");
  EXPECT_EQ(cited("Fig. 9", ""), "Fig. 9");
  const Expectation told = resolved(entry + "claim = 'it groks'\n").expectations.at(0);
  EXPECT_EQ(cited(told.source, told.claim), "Fig. 9: it groks");
  EXPECT_EQ(refused(entry + "claim = \"a\\nb\"\n"),
            "configs/x.toml:7:1: expect.claim: expected one line of text, got \"a\\u000ab\"");
  const std::string share =
      "[[class]]\nname = 'all'\n[[expect]]\nshare = 'all'\nbound = '> 0'\nsource = 's'\n";
  EXPECT_EQ(sweep(share + "claim = 'all do'\n").claims.at(0).claim, "all do");
  EXPECT_EQ(complaint([&] { sweep(share + "claim = \"a\\nb\"\n"); }),
            "configs/s.toml:8:9: expect.claim: expected one line of text, got \"a\\u000ab\"");
}

}  // namespace
}  // namespace orrery::config_test
