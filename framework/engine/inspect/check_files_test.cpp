#include "engine/inspect/check_files.h"

#include "tests/support/small_run.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using testing::built_in_plugins;
using testing::bytes_of;
using testing::CollectingReporter;
using testing::expect_holds;
using testing::small_settings;
using testing::TestFolder;

class CheckFiles : public ::testing::Test {
 protected:
  CheckFiles() {
    train_run(built_in_plugins(), small_settings("[[probe]]\nname = \"fourier_basis\"\n"), run, Start::anew,
              reporter);
  }
  CheckedFiles check() { return check_files(run, reporter); }
  static std::vector<fs::path> files_in(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
    return files;
  }
  void change(const std::string& file, const std::string& from, const std::string& to) {
    std::string text = bytes_of(run / file);
    ASSERT_NE(text.find(from), std::string::npos) << file;
    text.replace(text.find(from), from.size(), to);
    std::ofstream(run / file, std::ios::binary) << text;
  }
  void expect_damage(const std::string& what) {
    const CheckedFiles checked = check();
    ASSERT_EQ(checked.damage.size(), 1u) << what;
    expect_holds(checked.damage[0].what(), what);
  }

  TestFolder folder;
  fs::path run = folder / "run";
  CollectingReporter reporter;
};

TEST_F(CheckFiles, FindsNothingInAWholeRun) {
  const CheckedFiles checked = check();
  EXPECT_TRUE(checked.damage.empty());
  EXPECT_TRUE(checked.missing.empty());
  EXPECT_TRUE(checked.unchecked.empty());
  // run.json, metrics, three checkpoints and a state, a log of results with its data, and the null with its
  // own
  EXPECT_EQ(checked.n_checked, 1 + 1 + 4 + 1 + 3 + 2);
}

TEST_F(CheckFiles, FindsAnotherDigitAnywhere) {
  change("run.json", "0.01", "0.02");
  expect_damage("run.json: damaged");
  change("run.json", "0.02", "0.01");
  change("metrics.jsonl", "train/loss\": ", "train/loss\": 1");
  expect_damage("metrics.jsonl: damaged");
}

TEST_F(CheckFiles, FindsDamagedResultsAndTheirData) {
  change("probes/fourier_basis/results.jsonl", "\"n_key_frequencies\": ", "\"n_key_frequencies\": 1");
  expect_damage("results.jsonl:1: damaged");
}

TEST_F(CheckFiles, FindsCheckpointsThatChangedPlaces) {
  fs::rename(run / "checkpoints/step_00000000.safetensors", run / "kept");
  fs::copy(run / "checkpoints/step_00000010.safetensors", run / "checkpoints/step_00000000.safetensors");
  const CheckedFiles checked = check();
  ASSERT_EQ(checked.damage.size(), 2u);
  expect_holds(checked.damage[0].what(), "step_00000000.safetensors: it is the checkpoint of step 10");
  expect_holds(checked.damage[1].what(), "it is not the checkpoint that the result of fourier_basis");
}

TEST_F(CheckFiles, SaysWhatIsMissing) {
  fs::remove(run / "probes/fourier_basis/results.jsonl");
  fs::remove(run / "checkpoints/step_00000020.state.safetensors");
  const CheckedFiles checked = check();
  EXPECT_TRUE(checked.damage.empty());
  ASSERT_EQ(checked.missing.size(), 2u);
  expect_holds(checked.missing[0].what, "probe fourier_basis: no result at 3 of 3 checkpoints");
  expect_holds(checked.missing[0].hint, "orrery probe " + run.string());
  expect_holds(checked.missing[1].what, "no state");
}

TEST_F(CheckFiles, ACheckpointThatNobodyDeletedIsMissed) {
  fs::remove(run / "checkpoints/step_00000010.safetensors");
  const CheckedFiles checked = check();
  EXPECT_TRUE(checked.gone.empty());
  ASSERT_EQ(checked.missing.size(), 1u);
  expect_holds(checked.missing[0].what, "probe fourier_basis: the checkpoints of 1 of its results");
  expect_holds(checked.missing[0].hint, "copy them again");
}

// As a sweep with keep = "none" leaves its runs.
TEST_F(CheckFiles, ARunThatKeptNoCheckpointMissesNone) {
  for (const fs::path& file : files_in(run / "checkpoints")) fs::remove(file);
  const CheckedFiles none = check();
  EXPECT_TRUE(none.missing.empty());
  ASSERT_EQ(none.gone.size(), 2u);
  expect_holds(none.gone[0], "probe fourier_basis: 3 of its results are of checkpoints that were thinned");
  expect_holds(none.gone[1], "no checkpoint was kept");

  fs::remove(run / "checkpoints");  // not as a sweep does
  EXPECT_EQ(check().missing.size(), 2u);
}

TEST(CheckFilesOfAnEarlierVersion, SaysWhatHasNoChecksum) {
  const TestFolder folder;
  CollectingReporter reporter;
  fs::copy(ORRERY_SOURCE_DIR "/tests/fixtures/run_0.1.0", folder / "run", fs::copy_options::recursive);
  const CheckedFiles checked = check_files(folder / "run", reporter);
  EXPECT_TRUE(checked.damage.empty());
  EXPECT_EQ(checked.n_checked, 0);
  EXPECT_GT(checked.unchecked.size(), 5u);
}

}  // namespace
}  // namespace orrery::engine
