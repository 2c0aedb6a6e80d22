#include "engine/training/training_run.h"

#include "engine/run/run_directory.h"
#include "engine/run/run_json.h"
#include "tests/support/small_run.h"

namespace orrery::engine {
namespace {

using testing::built_in_plugins;
using testing::bytes_of;
using testing::CollectingReporter;
using testing::error_of;
using testing::expect_holds;
using testing::small_settings;
using testing::TestFolder;

constexpr const char* probe = "[[probe]]\nname = \"fourier_basis\"\n[[probe]]\nname = \"trig_loss\"\n";

TEST(TrainRun, ReportsToItsCallerAndWritesTheRun) {
  const TestFolder folder;
  CollectingReporter reporter;
  const TrainedRun trained =
      train_run(built_in_plugins(), small_settings(probe), folder / "run", Start::anew, reporter);
  EXPECT_EQ(trained.ending, Ending::finished);
  EXPECT_EQ(trained.step, 20);
  EXPECT_TRUE(trained.probed);
  ASSERT_FALSE(reporter.notes.empty());
  expect_holds(reporter.notes[0], "small: transformer on modular_arithmetic");
  EXPECT_EQ(reporter.units, (std::vector<std::string>{"20 steps", "3 checkpoints"}));
  EXPECT_TRUE(reporter.warnings.empty());
  const RunJson about = read_run_json(folder / "run");
  ASSERT_EQ(about.sessions.size(), 1u);
  EXPECT_EQ(about.sessions[0].ended, "finished");
  const RunDirectory run = RunDirectory::open(folder / "run", RunDirectory::Access::read);
  EXPECT_EQ(run.read_probe_results("fourier_basis").size(), 3u);
  EXPECT_EQ(run.read_probe_results("trig_loss").size(), 3u);
  EXPECT_TRUE(run.read_run_level("trig_loss", RunLevelResult::null).has_value());
}

TEST(TrainRun, StoppedAndResumedEndsInTheSameBytes) {
  const TestFolder folder;
  CollectingReporter whole, stopped, rest;
  train_run(built_in_plugins(), small_settings(probe), folder / "whole", Start::anew, whole);
  stopped.stop_at = 13;
  const TrainedRun first =
      train_run(built_in_plugins(), small_settings(probe), folder / "parts", Start::anew, stopped);
  EXPECT_EQ(first.ending, Ending::stopped);
  EXPECT_LT(first.step, 20);
  EXPECT_FALSE(first.probed);
  train_run(built_in_plugins(), small_settings(probe), folder / "parts", Start::resume, rest);
  for (const char* file :
       {"metrics.jsonl", "checkpoints/step_00000010.safetensors", "checkpoints/step_00000020.safetensors",
        "probes/fourier_basis/results.jsonl", "probes/trig_loss/results.jsonl", "probes/trig_loss/null.json"})
    EXPECT_EQ(bytes_of(folder / "whole" / file), bytes_of(folder / "parts" / file)) << file;
  EXPECT_EQ(read_run_json(folder / "parts").sessions.size(), 2u);
}

TEST(TrainRun, WhatCannotBeTrainedLeavesNothing) {
  const TestFolder folder;
  CollectingReporter reporter;
  Settings settings = small_settings();
  settings.train.stop_when = "test/acuracy >= 1";
  const auto train = [&] { train_run(built_in_plugins(), settings, folder / "run", Start::anew, reporter); };
  expect_holds(error_of(train), "did you mean \"test/accuracy\"");
  settings = small_settings("[init]\nfrom = \"nowhere.safetensors\"\n");
  expect_holds(error_of(train), "init.from");
  EXPECT_EQ(folder.count(), 0u);
}

TEST(TrainRun, OneThatIsThereIsNotOverwritten) {
  const TestFolder folder;
  CollectingReporter reporter;
  const auto train = [&](Start start) {
    train_run(built_in_plugins(), small_settings("", 10), folder / "run", start, reporter);
  };
  expect_holds(error_of([&] { train(Start::resume); }), "run");
  train(Start::anew);
  EXPECT_NE(error_of([&] { train(Start::anew); }), "no error");
}

}  // namespace
}  // namespace orrery::engine
