// What a resumed run keeps of probes that it does not ask.
#include <gtest/gtest.h>

#include <fstream>

#include "engine/run/run_directory.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using testing::TestFolder;

// A run with metrics up to step 40, and the results of the probes "asked" and "other".
class Trimmed : public ::testing::Test {
 protected:
  Trimmed() {
    run.write_run_json("{}");
    for (const int64_t step : {0, 20, 40}) run.metrics().append(metrics_line(step, {{"train/loss", 1.0}}));
    for (const char* label : {"asked", "other"}) {
      for (const int64_t step : {0, 20, 40}) run.save_probe_result(label, step, "c", record());
      save(label, RunLevelResult::null, std::nullopt);
    }
  }
  static Record record() {
    Recorder recorder;
    recorder.scalar("loss", 2);
    recorder.tensor("norms", torch::ones({3}));
    return recorder.record();
  }
  void save(const std::string& label, RunLevelResult which, std::optional<int64_t> until) {
    const Record recorded = record();
    run.save_run_level(label, which,
                       pack_result(result_line(which, {{label, &recorded}}, std::nullopt, until), recorded));
  }
  std::vector<SetAside> trim(int64_t step) { return run.trim_after(step, Asked{{"asked"}, step}); }
  bool has(const std::string& label, RunLevelResult which) const {
    return run.read_run_level(label, which).has_value();
  }
  std::string text_of(const std::string& name) const {
    std::ifstream file(folder / "run" / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TestFolder folder;
  RunDirectory run = RunDirectory::create(folder / "run");
};

TEST_F(Trimmed, NullsOfOtherProbesStay) {
  EXPECT_TRUE(trim(20).empty());
  EXPECT_FALSE(has("asked", RunLevelResult::null));
  EXPECT_TRUE(has("other", RunLevelResult::null));
  EXPECT_EQ(run.read_probe_results("other").size(), 2u);
}

TEST_F(Trimmed, AConclusionFromWhatStaysStays) {
  for (const char* label : {"asked", "other"}) save(label, RunLevelResult::conclusion, 20);
  EXPECT_TRUE(trim(20).empty());
  EXPECT_FALSE(has("asked", RunLevelResult::conclusion));
  EXPECT_EQ(run.read_run_level("other", RunLevelResult::conclusion)->until, 20);
}

TEST_F(Trimmed, AConclusionFromWhatIsCutIsSetAside) {
  save("other", RunLevelResult::conclusion, 40);
  const std::string before = text_of("probes/other/conclusion.json"),
                    data = text_of("probes/other/conclusion.safetensors");
  const std::vector<SetAside> moved = trim(20);
  ASSERT_EQ(moved.size(), 1u);
  EXPECT_EQ(moved[0].label, "other");
  EXPECT_EQ(moved[0].path, "set_aside/other.conclusion_00000040.json");
  EXPECT_EQ(text_of(moved[0].path), before);
  EXPECT_EQ(text_of("set_aside/other.conclusion_00000040.safetensors"), data);
  EXPECT_FALSE(has("other", RunLevelResult::conclusion));
  EXPECT_FALSE(fs::exists(folder / "run/probes/other/conclusion.safetensors"));
}

// Those of earlier versions do not say how far they looked.
TEST_F(Trimmed, AnOldConclusionStaysIfNothingIsCut) {
  save("other", RunLevelResult::conclusion, std::nullopt);
  EXPECT_TRUE(trim(40).empty());
  EXPECT_TRUE(has("other", RunLevelResult::conclusion));
  EXPECT_EQ(trim(20).at(0).path, "set_aside/other.conclusion.json");
  EXPECT_FALSE(has("other", RunLevelResult::conclusion));
}

TEST_F(Trimmed, ADamagedConclusionIsSetAside) {
  save("other", RunLevelResult::conclusion, 20);
  std::ofstream(folder / "run/probes/other/conclusion.json") << "{";
  EXPECT_EQ(trim(20).size(), 1u);
  EXPECT_EQ(text_of("set_aside/other.conclusion.json"), "{");
}

TEST_F(Trimmed, WeightsGoAndWhatWasMeasuredFromThemStays) {
  for (const int64_t step : {0, 20, 40}) std::ofstream(run.checkpoint_path(step)) << step;
  std::ofstream(run.state_path(40)) << "state";
  run.drop_weights(20);
  EXPECT_FALSE(fs::exists(run.checkpoint_path(20)));
  EXPECT_EQ(run.read_probe_results("other").size(), 3u);
  EXPECT_TRUE(run.has_result("other", 20));
  EXPECT_FALSE(run.has_result("other", 30));
  EXPECT_FALSE(run.has_result("none", 20));
  EXPECT_THROW(run.drop_weights(40), Error);
}

}  // namespace
}  // namespace orrery::engine
