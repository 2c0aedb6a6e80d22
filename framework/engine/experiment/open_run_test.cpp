#include "engine/experiment/open_run.h"

#include "tests/support/small_run.h"

namespace orrery::engine {
namespace {

using testing::built_in_plugins;
using testing::CollectingReporter;
using testing::error_of;
using testing::expect_holds;
using testing::small_settings;
using testing::TestFolder;

class OpenRun : public ::testing::Test {
 protected:
  OpenRun() { train(small_settings(), "run"); }
  void train(const Settings& settings, const std::string& name) {
    CollectingReporter reporter;
    train_run(built_in_plugins(), settings, folder / name, Start::anew, reporter);
  }
  NetworkAtStep network(const std::string& name, const std::string& which = "last") const {
    return {built_in_plugins(), (folder / name).string(), which};
  }
  TestFolder folder;
};

TEST_F(OpenRun, HasTheWeightsOfTheCheckpoint) {
  const auto W_E = [&](const std::string& which) {
    return network("run", which).experiment().model().weight("embed.W_E").clone();
  };
  EXPECT_EQ(network("run").step(), 20);
  EXPECT_TRUE(torch::equal(W_E("last"), W_E("20")));
  EXPECT_FALSE(torch::equal(W_E("10"), W_E("20")));
  const NetworkAtStep opened = network("run", "0");
  Experiment fresh(built_in_plugins(), small_settings(), torch::kCPU);
  EXPECT_TRUE(torch::equal(W_E("0"), fresh.model().weight("embed.W_E")));
  EXPECT_EQ(opened.inputs("grid").size(), 49);
  EXPECT_EQ(opened.inputs("train").size() + opened.inputs("test").size(), 49);
}

TEST_F(OpenRun, NeedsNothingOfTheRunItBeganFrom) {
  const std::string from = (folder / "run/checkpoints/step_00000010.safetensors").string();
  train(small_settings("[init]\nfrom = \"" + from + "\"\n"), "second");
  const auto before = network("second", "0").experiment().model().weight("embed.W_E").clone();
  EXPECT_TRUE(torch::equal(before, network("run", "10").experiment().model().weight("embed.W_E")));
  std::filesystem::remove_all(folder / "run");
  NetworkAtStep opened = network("second", "0");
  EXPECT_TRUE(torch::equal(before, opened.experiment().model().weight("embed.W_E")));
  EXPECT_EQ(opened.experiment().settings().init.from, from);
}

TEST_F(OpenRun, SaysWhichStepsThereAre) {
  const auto chosen = [&](const std::string& which) { return error_of([&] { network("run", which); }); };
  expect_holds(chosen("7"), "--step: there is no checkpoint of step 7 in ");
  expect_holds(chosen("7"), "there are 3, from step 0 to 20");
  expect_holds(chosen("soon"), "expected first, last, grokked or a step such as 1000; got \"soon\"");
  expect_holds(chosen("grokked"), "it never reaches 99 % test accuracy");
  expect_holds(
      error_of([&] { NetworkAtStep(built_in_plugins(), (folder / "run").string(), "7", "--from-step"); }),
      "--from-step: there is no checkpoint of step 7");
}

// The evaluations of a run that groks at step 15, so that its first checkpoint afterwards is that of step 20.
TEST_F(OpenRun, GrokkedIsTheFirstCheckpointAfterNinetyNinePercent) {
  RunDirectory run = RunDirectory::create(folder / "made");
  for (const int64_t step : {0, 10, 20, 30})
    std::filesystem::copy_file(folder / "run/checkpoints/step_00000020.safetensors", [&] {
      std::filesystem::create_directories(run.checkpoint_path(step).parent_path());
      return run.checkpoint_path(step);
    }());
  for (const auto& [step, accuracy] :
       std::vector<std::pair<int64_t, double>>{{0, 0.1}, {10, 0.98}, {15, 0.99}})
    run.metrics().append(metrics_line(step, {{"test/accuracy", accuracy}}));
  EXPECT_EQ(choose_checkpoint(run, "grokked").step, 20);
  EXPECT_EQ(choose_checkpoint(run, "last").step, 30);
}

}  // namespace
}  // namespace orrery::engine
