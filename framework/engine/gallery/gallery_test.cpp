// The record, what counts as a change of a config, and the Markdown.
#include <gtest/gtest.h>
#include <orrery/error.h>

#include <filesystem>
#include <fstream>

#include "engine/gallery/gallery_entry.h"
#include "engine/gallery/gallery_page.h"
#include "engine/gallery/markdown.h"
#include "sdk/files/temporary_folder.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

GalleryEntry example(const std::string& name, const std::string& folder = "configs/a_2023") {
  GalleryEntry entry;
  entry.name = entry.title = name;
  entry.config = folder + "/" + name + ".toml";
  entry.text = "About it.";
  entry.tier = "quick";
  entry.experiment = entry.expectations = "0";
  entry.orrery = "0.3.0";
  entry.date = "2026-01-31";
  entry.kernels = "SkylakeX";
  entry.seconds = 65.5;
  entry.outcomes = {{"test/loss < 1", "it learns", "Fig. 1", "0.5 at step 10", "", 1, true}};
  entry.pictures = {{name + "-curves_loss.png", "curves_loss", "Loss", 540}};
  return entry;
}

Document config(const std::string& text) { return Document::from_toml(text, "configs/x.toml"); }

const std::string plain =
    "[task]\nname = 'sums'\np = 5\n[[expect]]\nmetric = 'train/loss'\nbound = '< 1'\nsource = 's'\n";

TEST(Gallery, TheRecordComesBackAsItWas) {
  GalleryEntry sweep = example("s");
  sweep.is_sweep = true;
  sweep.n_runs = 8;
  sweep.outcomes.push_back(
      {"share of groks >= 0.5", "", "Fig. 2", "0.25 (2 of 8)", "0.07 to 0.59", 8, false});
  const std::string text = record_text({sweep, example("b")});
  const auto read = read_record(text, "reproductions.json");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].config, "configs/a_2023/b.toml");  // sorted
  EXPECT_EQ(read[1].outcomes[1].interval, "0.07 to 0.59");
  EXPECT_EQ(read[1].n_runs, 8u);
  EXPECT_FALSE(read[1].all_passed());
  EXPECT_EQ(record_text(read), text);
  EXPECT_THROW(read_record("{\"entries\": [{\"config\": 1}]}", "r"), Error);
  EXPECT_THROW(read_record("{", "r"), Error);
}

TEST(Gallery, OnlyWhatIsRunOrAskedMakesItStale) {
  GalleryEntry entry = example("x");
  entry.experiment = experiment_hash(config(plain));
  entry.expectations = expectations_hash(config(plain));
  refresh(entry, config("# a comment\n[gallery]\ntitle = 'T'\n[verify]\ntier = 'standard'\n" + plain +
                        "claim = 'now told'\n"));
  EXPECT_FALSE(entry.other_experiment || entry.other_expectations);
  EXPECT_EQ(entry.title, "T");
  EXPECT_EQ(entry.tier, "standard");
  EXPECT_EQ(entry.outcomes[0].claim, "now told");
  refresh(entry, config("[train]\nsteps = 7\n" + plain));
  EXPECT_TRUE(entry.other_experiment);
  EXPECT_FALSE(entry.other_expectations);
  EXPECT_EQ(entry.title, "x");  // its name, without a title
  refresh(entry, config(plain + "when = 'always'\nclaim = 'another'\n"));
  EXPECT_FALSE(entry.other_experiment);
  EXPECT_TRUE(entry.other_expectations);
  EXPECT_NE(entry.outcomes[0].claim, "another");  // it is not what was measured
  EXPECT_NE(gallery_markdown({"docs", {entry}, {}}).find("**Stale:** what it expects has changed"),
            std::string::npos);
}

TEST(Gallery, ASweepIsAnotherOneIfItsBaseIs) {
  const TemporaryFolder folder;
  const auto hash = [&](const std::string& base, const std::string& more = "") {
    std::ofstream(folder.path() / "x.toml") << base;
    std::ofstream(folder.path() / "s.toml") << "base = 'x.toml'\n" + more;
    return experiment_hash(Document::load(folder.path() / "s.toml"));
  };
  const std::string first = hash(plain);
  EXPECT_EQ(hash("name = 'n'\n" + plain), first);
  EXPECT_EQ(hash(plain, "[[class]]\nname = 'all'\n"), first);
  EXPECT_NE(hash("[train]\nsteps = 7\n" + plain), first);
  EXPECT_NE(hash(plain, "seeds = 3\n"), first);
}

TEST(Gallery, TextIsEscaped) {
  EXPECT_EQ(escaped_markdown("a|b <i> *x* d_crit _y_ `z` [l]"),
            "a\\|b &lt;i> \\*x\\* d_crit \\_y\\_ \\`z\\` \\[l\\]");
  EXPECT_EQ(escaped_markdown("a\nb & c"), "a b &amp; c");
  EXPECT_EQ(code_in_cell("a < b | c"), "`a < b \\| c`");
  EXPECT_EQ(code_in_cell("a ` b"), "`` a ` b ``");
  EXPECT_EQ(link_between("docs", "configs/a b.toml"), "../configs/a%20b.toml");
}

TEST(Gallery, ThePageHasASectionForEachTextAndEachConfig) {
  const std::string page = gallery_markdown(
      {"docs", {example("b"), example("a"), example("z", "configs/b_2022/sweeps")}, {"configs/c.toml"}});
  for (const char* part :
       {"## A 2023\n", "### a\n", "## B 2022\n", "| [A 2023](#a-2023) | 2 | 0 | 2 | 2 |",
        "[configs/a_2023/a.toml](../configs/a_2023/a.toml)",
        "<img src=\"images/reproductions/a-curves_loss.png\" width=\"410\" align=\"top\" alt=\"Loss\">",
        "| it learns | Fig. 1 | `test/loss < 1` | 0.5 at step 10; n = 1 | yes |",
        "`orrery verify configs/a_2023/a.toml`: 1:06, tier quick; measured 2026-01-31 by "
        "Orrery 0.3.0 (SkylakeX).",
        "## Not measured yet\n\n- `orrery verify configs/c.toml`\n"})
    EXPECT_NE(page.find(part), std::string::npos) << part << "\n" << page;
  EXPECT_LT(page.find("### a\n"), page.find("### b\n"));
}

TEST(Gallery, TheTableOfATextReplacesWhatIsBetweenItsMarkers) {
  const std::string begin = "<!-- claims: made by orrery verify --gallery -->",
                    end = "<!-- end of claims -->";
  const std::string readme = "# A text\n\n" + begin + "\nold\n" + end + "\n\nmore\n";
  ASSERT_TRUE(has_folder_table(readme));
  EXPECT_FALSE(has_folder_table("# A text\n"));
  const std::string table = folder_table("configs/a_2023", {example("a"), example("z", "configs/b_2022")});
  const std::string made = with_folder_table(readme, "README.md", table);
  EXPECT_EQ(made.find("\nold\n"), std::string::npos);
  EXPECT_TRUE(made.starts_with("# A text\n\n" + begin + "\n\n| the text says |")) << made;
  EXPECT_TRUE(made.ends_with(end + "\n\nmore\n")) << made;
  EXPECT_NE(
      made.find(
          "| it learns | Fig. 1 | [a](a.toml) | `test/loss < 1` | 0.5 at step 10; n = 1 | quick | yes |"),
      std::string::npos)
      << made;
  EXPECT_EQ(made.find("z.toml"), std::string::npos);
  EXPECT_EQ(with_folder_table(made, "README.md", table), made);
  try {
    with_folder_table("# A text\n" + begin + "\n", "README.md", table);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()), "README.md:2: the table of claims has no end");
  }
}

}  // namespace
}  // namespace orrery::engine
