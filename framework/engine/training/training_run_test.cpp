#include "engine/training/training_run.h"

#include <map>

#include "engine/run/json_read.h"
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

// A finished run of 20 steps, and ways to harm and to resume it.
class ResumedRun : public ::testing::Test {
 protected:
  ResumedRun() {
    CollectingReporter quiet;
    train_run(built_in_plugins(), small_settings(probe), run, Start::anew, quiet);
  }

  std::string resume(const Settings& settings) {
    return error_of([&] { train_run(built_in_plugins(), settings, run, Start::resume, reporter); });
  }
  Settings longer(const std::string& more = "") const { return small_settings(probe + more, 30); }
  Json about() const { return parse_object(bytes_of(run / "run.json"), "run.json"); }

  std::map<std::string, std::string> everything() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(run))
      if (entry.is_regular_file()) files[entry.path().string()] = bytes_of(entry.path());
    return files;
  }
  void flip(const std::string& file, size_t from_the_end) {
    std::string bytes = bytes_of(run / file);
    bytes[bytes.size() - from_the_end] ^= 64;
    std::ofstream(run / file, std::ios::binary) << bytes;
  }

  TestFolder folder;
  std::filesystem::path run = folder / "run";
  CollectingReporter reporter;
};

TEST_F(ResumedRun, MissesTheMetricsItHad) {
  for (const char* rest : {"", "{\"step\": 0}\n"}) {
    std::ofstream(run / "metrics.jsonl") << rest;
    const auto before = everything();
    expect_holds(resume(longer()), "lines, but when step 20 was saved it had 5");
    EXPECT_EQ(everything(), before);
  }
}

TEST_F(ResumedRun, RefusesDamagedWeightsAndState) {
  for (const char* file :
       {"checkpoints/step_00000020.safetensors", "checkpoints/step_00000020.state.safetensors"}) {
    flip(file, 9);
    const auto before = everything();
    expect_holds(resume(longer()), std::string(file) + ": damaged");
    EXPECT_EQ(everything(), before);
    flip(file, 9);
  }
  EXPECT_EQ(resume(longer()), "no error");
}

TEST_F(ResumedRun, RefusesToBecomeAnotherExperiment) {
  const auto before = everything();
  Settings other = longer();
  other.seeds.init = 1;
  expect_holds(resume(other), "seeds.init is 0 in this run, and cannot become 1");
  other = longer();
  other.task.parameters["operation"] = std::string("multiply");
  expect_holds(resume(other), "task.operation is add in this run, and cannot become multiply");
  other = longer();
  other.model.parameters["d_mlp"] = int64_t{32};
  expect_holds(resume(other), "model.d_mlp");
  other = longer();
  other.train.optimizer = TrainSettings::Optimizer::sgd;
  expect_holds(resume(other), "train.optimizer");
  EXPECT_EQ(everything(), before);
  EXPECT_THROW(train_run(built_in_plugins(), other, run, Start::resume, reporter), UsageError);
}

// The file that divides the examples has changed under the run.
TEST(TrainRun, IsNotResumedWithOtherData) {
  const TestFolder folder;
  CollectingReporter reporter;
  const auto rows = folder / "rows.txt";
  std::ofstream(rows) << "0 1 2 3 4 5 6 7 8 9";
  Settings settings = small_settings();
  settings.task.parameters["split.rule"] = std::string("file");
  settings.task.parameters["split.file"] = rows.string();
  train_run(built_in_plugins(), settings, folder / "run", Start::anew, reporter);
  settings.train.steps = 30;
  const auto resume = [&] {
    return error_of(
        [&] { train_run(built_in_plugins(), settings, folder / "run", Start::resume, reporter); });
  };
  std::ofstream(rows) << "0 1 2 3 4 5 6 7 8 10";
  const std::string before = bytes_of(folder / "run/run.json");
  expect_holds(resume(), "the task modular_arithmetic now gives other data than those that this run was");
  EXPECT_EQ(bytes_of(folder / "run/run.json"), before);
  std::ofstream(rows) << "0 1 2 3 4 5 6 7 8 9";
  EXPECT_EQ(resume(), "no error");
}

TEST_F(ResumedRun, KeepsWhatItChangedInItsSession) {
  Settings other = longer();
  other.train.lr = 5e-3;
  EXPECT_EQ(resume(other), "no error");
  const Json sessions = about()["sessions"];
  ASSERT_EQ(sessions.size(), 2u);
  EXPECT_FALSE(sessions[0].contains("overrides"));
  EXPECT_EQ(sessions[1]["overrides"], Json::parse(R"([{"key": "train.steps", "from": 20, "to": 30},
                                                      {"key": "train.lr", "from": 0.01, "to": 0.005}])"));
}

TEST_F(ResumedRun, ChangesNothingWhereNoStepIsMade) {
  const auto before = everything();
  EXPECT_EQ(resume(small_settings(probe)), "no error");
  EXPECT_EQ(everything(), before);
  Settings other = small_settings(probe);
  other.train.lr = 0.5;
  const std::string message = resume(other);
  expect_holds(message, "it has made 20 steps of 20");
  expect_holds(message, "train.lr");
  expect_holds(message, "--set train.steps=40");
  EXPECT_EQ(everything(), before);
}

TEST_F(ResumedRun, BeginsAgainIfItWasKilledBeforeItsFirstCheckpoint) {
  const auto whole = everything();
  std::filesystem::remove_all(run / "checkpoints");
  std::filesystem::create_directory(run / "checkpoints");
  std::ofstream(run / "metrics.jsonl") << bytes_of(run / "metrics.jsonl").substr(0, 30);
  EXPECT_EQ(resume(small_settings(probe)), "no error");
  auto again = everything(), expected = whole;
  for (auto* files : {&again, &expected}) files->erase((run / "run.json").string());
  EXPECT_EQ(again, expected);
}

TEST_F(ResumedRun, BeginsAgainFromWhereItBeganInFloat64Too) {
  Settings settings = small_settings("", 5);
  settings.init.from = (run / "checkpoints/step_00000020.safetensors").string();
  settings.train.dtype = TrainSettings::LossDtype::float64;
  CollectingReporter quiet;
  for (const char* name : {"whole", "killed"})
    train_run(built_in_plugins(), settings, folder / name, Start::anew, quiet);
  std::filesystem::remove_all(folder / "killed/checkpoints");
  std::filesystem::create_directory(folder / "killed/checkpoints");
  std::ofstream(folder / "killed/metrics.jsonl").flush();
  train_run(built_in_plugins(), settings, folder / "killed", Start::resume, quiet);
  for (const char* file : {"step_00000000.safetensors", "step_00000005.safetensors"})
    EXPECT_EQ(bytes_of(folder / "whole/checkpoints" / file), bytes_of(folder / "killed/checkpoints" / file))
        << file;
}

TEST_F(ResumedRun, SaysThatMoreStepsBendTheLearningRate) {
  EXPECT_EQ(resume(longer()), "no error");  // constant
  for (const std::string& warning : reporter.warnings)
    EXPECT_EQ(warning.find("lr_schedule"), std::string::npos);
  Settings cosine = small_settings();
  cosine.train.lr_schedule = TrainSettings::Schedule::cosine;
  CollectingReporter quiet, said;
  train_run(built_in_plugins(), cosine, folder / "cosine", Start::anew, quiet);
  cosine.train.steps = 40;
  train_run(built_in_plugins(), cosine, folder / "cosine", Start::resume, said);
  ASSERT_FALSE(said.warnings.empty());
  expect_holds(said.warnings.back(),
               "train.lr_schedule spans train.steps, which are 40 now and were 20: at step 20 the learning "
               "rate goes on from 0.75 of train.lr, and had come to 0");
}

TEST_F(ResumedRun, IsRefusedIfItHasTrainedAndItsCheckpointsAreGone) {
  for (const auto& file : std::filesystem::directory_iterator(run / "checkpoints"))
    std::filesystem::remove(file.path());
  const auto before = everything();
  expect_holds(resume(small_settings(probe)),
               "it has metrics up to step 20, but no checkpoint to go on from");
  EXPECT_EQ(everything(), before);
}

TEST_F(ResumedRun, MeasuresAgainWhatAPowerCutTook) {
  const auto whole = everything();
  const std::filesystem::path log = run / "probes/fourier_basis/results.jsonl";
  std::ofstream(log) << bytes_of(log).substr(0, bytes_of(log).find('\n') + 1);
  EXPECT_EQ(resume(small_settings(probe)), "no error");
  EXPECT_EQ(everything(), whole);
}

TEST_F(ResumedRun, WarnsOfOtherHardware) {
  Json other = about();
  other.erase("sha256");
  other["sessions"][0]["loops"] = "those of another processor";
  std::ofstream(run / "run.json") << other.dump();
  EXPECT_EQ(resume(longer()), "no error");
  ASSERT_EQ(reporter.warnings.size(), 1u);
  expect_holds(reporter.warnings[0], "before those of another processor");
}

TEST_F(ResumedRun, WarnsOfAnotherKernel) {
  Settings other = longer();
  other.train.kernel = TrainSettings::Kernel::plain;
  EXPECT_EQ(resume(other), "no error");
  ASSERT_EQ(reporter.warnings.size(), 1u);
  expect_holds(reporter.warnings[0], "train.kernel: plain, before auto");
  expect_holds(reporter.warnings[0], "will not end in the same bits");
}

TEST_F(ResumedRun, KeepsTheNullOfAProbeThatItDoesNotAsk) {
  const std::string null = bytes_of(run / "probes/fourier_basis/null.json"),
                    results = bytes_of(run / "probes/fourier_basis/results.jsonl");
  EXPECT_EQ(resume(small_settings("[[probe]]\nname = \"trig_loss\"\n", 30)), "no error");
  EXPECT_EQ(bytes_of(run / "probes/fourier_basis/null.json"), null);
  EXPECT_EQ(bytes_of(run / "probes/fourier_basis/null.safetensors").empty(), false);
  EXPECT_EQ(bytes_of(run / "probes/fourier_basis/results.jsonl"), results);
}

// A run that its condition ended, made to look as if it had been killed just before it said so.
TEST(TrainRun, EndsAtOnceWhereItsConditionHeldBeforeItWasKilled) {
  const TestFolder folder;
  CollectingReporter reporter;
  Settings settings = small_settings(probe);
  train_run(built_in_plugins(), settings, folder / "first", Start::anew, reporter);
  double loss = 0;
  for (const MetricsRow& row :
       RunDirectory::open(folder / "first", RunDirectory::Access::read).read_metrics())
    if (row.step == 10)
      for (const auto& [name, value] : row.values)
        if (name == "train/loss") loss = value;
  settings.train.stop_when = "train/loss <= " + json_number(loss);
  const std::filesystem::path run = folder / "run";
  EXPECT_EQ(train_run(built_in_plugins(), settings, run, Start::anew, reporter).step, 10);
  Json about = parse_object(bytes_of(run / "run.json"), "run.json");
  about.erase("sha256");
  for (const char* key : {"to", "seconds"}) about["sessions"][0].erase(key);
  about["sessions"][0]["ended"] = "running";
  std::ofstream(run / "run.json") << about.dump();
  std::filesystem::remove(run / "probes/trig_loss/null.json");

  const std::string metrics = bytes_of(run / "metrics.jsonl");
  const TrainedRun trained = train_run(built_in_plugins(), settings, run, Start::resume, reporter);
  EXPECT_EQ(trained.ending, Ending::condition);
  EXPECT_EQ(trained.step, 10);
  EXPECT_EQ(bytes_of(run / "metrics.jsonl"), metrics);
  EXPECT_EQ(read_run_json(run).ended(), "condition");
  EXPECT_TRUE(std::filesystem::exists(run / "probes/trig_loss/null.json"));

  settings.train.steps = 40;
  expect_holds(error_of([&] { train_run(built_in_plugins(), settings, run, Start::resume, reporter); }),
               "holds at step 10, where it ended");
  settings.train.stop_when = "";
  EXPECT_EQ(train_run(built_in_plugins(), settings, run, Start::resume, reporter).step, 40);
}

// keep_last continues the table [checkpoints].
class ThinnedRun : public ::testing::Test {
 protected:
  std::vector<int64_t> checkpoints(const std::filesystem::path& run) const {
    std::vector<int64_t> steps;
    for (const CheckpointFile& file : RunDirectory::open(run, RunDirectory::Access::read).checkpoints())
      steps.push_back(file.step);
    return steps;
  }
  Settings thinned(const std::string& keys = "keep_last = 2\n") const {
    Settings settings = small_settings(keys + probe);
    settings.checkpoints.every = 2;
    return settings;
  }
  TestFolder folder;
  CollectingReporter reporter;
};

TEST_F(ThinnedRun, KeepsTheFirstAndTheLastAndMeasuresAll) {
  train_run(built_in_plugins(), thinned(), folder / "run", Start::anew, reporter);
  EXPECT_EQ(checkpoints(folder / "run"), (std::vector<int64_t>{0, 18, 20}));
  const RunDirectory run = RunDirectory::open(folder / "run", RunDirectory::Access::read);
  EXPECT_EQ(run.read_probe_results("fourier_basis").size(), 11u);
  EXPECT_EQ(run.read_probe_results("trig_loss").size(), 3u);  // it fits to the last
  ASSERT_FALSE(reporter.warnings.empty());
  expect_holds(reporter.warnings[0], "trig_loss (reference last)");
}

TEST_F(ThinnedRun, KeepsWhatTheConfigMarks) {
  Settings settings = thinned("keep_last = 1\nper_decade = 1\n");
  settings.probes[1].reference = "step:6";
  train_run(built_in_plugins(), settings, folder / "run", Start::anew, reporter);
  EXPECT_EQ(checkpoints(folder / "run"), (std::vector<int64_t>{0, 1, 6, 10, 20}));
}

TEST_F(ThinnedRun, StoppedAndResumedIsTheSameRun) {
  train_run(built_in_plugins(), thinned(), folder / "whole", Start::anew, reporter);
  CollectingReporter stopped;
  stopped.stop_at = 13;
  train_run(built_in_plugins(), thinned(), folder / "parts", Start::anew, stopped);
  train_run(built_in_plugins(), thinned(), folder / "parts", Start::resume, reporter);
  EXPECT_EQ(checkpoints(folder / "parts"), checkpoints(folder / "whole"));
  for (const char* file :
       {"metrics.jsonl", "probes/fourier_basis/results.jsonl", "probes/trig_loss/results.jsonl"})
    EXPECT_EQ(bytes_of(folder / "parts" / file), bytes_of(folder / "whole" / file)) << file;
}

// A run that kept all is resumed with a new probe and keep_last: what the probe has not measured waits for
// it.
TEST_F(ThinnedRun, NothingGoesUnmeasured) {
  Settings settings = thinned("");
  settings.probes.clear();
  train_run(built_in_plugins(), settings, folder / "run", Start::anew, reporter);
  settings = thinned();
  settings.train.steps = 24;
  train_run(built_in_plugins(), settings, folder / "run", Start::resume, reporter);
  EXPECT_EQ(checkpoints(folder / "run"), (std::vector<int64_t>{0, 22, 24}));
  const RunDirectory run = RunDirectory::open(folder / "run", RunDirectory::Access::read);
  EXPECT_EQ(run.read_probe_results("fourier_basis").size(), 13u);
}

TEST_F(ThinnedRun, SaysHowMuchItWrites) {
  train_run(built_in_plugins(), thinned(), folder / "run", Start::anew, reporter);
  ASSERT_GE(reporter.notes.size(), 2u);
  expect_holds(reporter.notes[1], "writes about ");
  expect_holds(reporter.notes[1], " to " + (folder / "run").string() + " (");
  expect_holds(reporter.notes[1], " free)");
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
