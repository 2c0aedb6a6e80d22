// Sweeps in stages: runs that start from the checkpoints of others.
#include <gtest/gtest.h>

#include "small_sweep.h"

namespace orrery {
namespace {

using nlohmann::json;

constexpr const char* stages = R"(base = "base.toml"
seeds = 2
[[stage]]
name = "full"
[stage.set]
task.train_fraction = 0.8
[[stage]]
name = "fewer"
from = "full"
[stage.grid]
train.weight_decay = [0.1, 1]
[[reading]]
name = "begin"
metric = "test/loss"
of = "first"
[[reading]]
name = "end"
metric = "train/loss"
[[class]]
name = "all"
[[expect]]
share = "all"
where.stage = "fewer"
bound = ">= 1"
source = "by construction"
)";

class SweepStages : public Sweep {
 protected:
  void SetUp() override {
    Sweep::SetUp();
    at.write("s.toml", stages);
  }
  // Replaces a part of the file of the sweep.
  void edit(const std::string& from, const std::string& to) {
    std::string text = at.read("s.toml");
    ASSERT_NE(text.find(from), std::string::npos);
    at.write("s.toml", text.replace(text.find(from), from.size(), to));
  }
};

TEST_F(SweepStages, ALaterStageStartsFromTheLastCheckpointOfItsSeed) {
  const Finished planned = at.orrery({"sweep", "plan", "s.toml"});
  ASSERT_EQ(planned.code, 0) << planned.err;
  expect_part(planned.out, "s: 6 runs of base.toml");
  expect_part(planned.out, "stage  full   2 runs; sets task.train_fraction = 0.8");
  expect_part(planned.out, "stage  fewer  4 runs, each from the last checkpoint of its run of full");
  const Finished done = run({"--jobs", "2"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(status(), "s: 6 runs: 6 done\n");
  const std::string rows = csv();
  EXPECT_EQ(rows.substr(0, rows.find('\n')),
            "index,run,stage,train.weight_decay,seed,status,class,begin,end");
  EXPECT_EQ(count(rows, ",fewer,"), 4u);
  const json child = json::parse(at.read(file_of(5, "run.json")));
  expect_part(child["config"]["init"]["from"].get<std::string>(),
              folder_of(1).filename().string() + "/checkpoints/step_00000020.safetensors");
  EXPECT_EQ(child["config"]["task"]["train_fraction"], 0.3) << "what a stage sets is its own";
  EXPECT_EQ(at.orrery({"verify", "s.toml"}).code, 0);
  expect_part(at.orrery({"verify", "s.toml"}).out, "1 (4 of 4)");
  const auto before = at.tree("runs/sweeps/s");
  ASSERT_EQ(run().code, 0);
  EXPECT_EQ(at.tree("runs/sweeps/s"), before) << "again does nothing";
}

TEST_F(SweepStages, AStepAndTheFirstOfAConditionAreCheckpointsToStartFrom) {
  edit("from = \"full\"", "from = \"full\"\ncheckpoint = \"step 10\"");
  ASSERT_EQ(run().code, 0);
  expect_part(json::parse(at.read(file_of(2, "run.json")))["config"]["init"]["from"], "step_00000010");
  edit("step 10", "first train/loss < 100");
  ASSERT_EQ(run().code, 0);
  expect_part(json::parse(at.read(file_of(2, "run.json")))["config"]["init"]["from"], "step_00000000");
}

TEST_F(SweepStages, ARunThatCannotStartIsListedWithTheReason) {
  edit("from = \"full\"", "from = \"full\"\ncheckpoint = \"first test/accuracy >= 2\"");
  const Finished done = run();
  EXPECT_EQ(done.code, 1);
  expect_part(done.err, "cannot start: run ");
  expect_part(done.err, "of stage full never came to first test/accuracy >= 2");
  expect_part(done.err, "2 of 6 runs done, 4 cannot start");
  expect_part(status(), "2 done, 4 blocked");
  expect_part(at.orrery({"verify", "s.toml"}).out, "4 of 4 runs failed or could not start");
  edit("first test/accuracy >= 2", "step 15");
  expect_part(run().err, "keeps no checkpoint of step 15");
}

// "last" is the step at which the run ended, not whatever is left of it.
TEST_F(SweepStages, ALostLastCheckpointBlocks) {
  ASSERT_EQ(run().code, 0);
  const json plan = json::parse(at.read("runs/sweeps/s/plan.json"));
  const fs::path runs = at.path("runs/sweeps/s/runs");
  const std::string parent = plan["runs"][0]["id"];
  for (const json& each : plan["runs"])
    if (each.contains("starts_from") && each["starts_from"]["run"] == parent)
      fs::remove_all(runs / std::string(each["id"]));
  fs::remove(runs / parent / "checkpoints/step_00000020.safetensors");
  const Finished done = run();
  EXPECT_EQ(done.code, 1);
  expect_part(done.err, "run " + parent + " of stage full has lost the checkpoint of its last step, 20");
  expect_part(status(), "s: 6 runs: 4 done, 2 blocked\n");
}

TEST_F(SweepStages, AFailedParentBlocksItsChildrenOnly) {
  edit("seeds = 2", "seeds = 1");
  edit("[stage.set]", "[stage.grid]\ntrain.lr = [0.01, 1e30]\n[stage.set]\ntrain.optimizer = \"sgd\"");
  edit("train.weight_decay = [0.1, 1]", "train.weight_decay = [0.1]");
  const Finished done = run();
  EXPECT_EQ(done.code, 1) << done.err;
  expect_part(done.err, "of stage full is failed: the loss became NaN");
  expect_part(status(), "2 done, 1 blocked, 1 failed");
}

TEST_F(SweepStages, ARunKeepsWhatALaterOneStartsFrom) {
  at.write("s.toml", std::string("keep = \"none\"\n") + stages);
  ASSERT_EQ(run().code, 0);
  EXPECT_FALSE(fs::is_empty(folder_of(0) / "checkpoints"));
  EXPECT_TRUE(fs::is_empty(folder_of(2) / "checkpoints"));
  fs::remove_all(folder_of(2));
  EXPECT_EQ(run().code, 0) << "it can be made again";
}

TEST_F(SweepStages, AStageMayStartFromAnotherSweep) {
  at.write("other.toml", "base = \"base.toml\"\nseeds = 2\n");
  at.write("s.toml",
           "base = \"base.toml\"\nseeds = [1]\n[[stage]]\nname = \"on\"\nsweep = \"runs/sweeps/other\"\n");
  const Finished none = run();
  EXPECT_EQ(none.code, 2);
  expect_part(none.err, "s.toml:3:1: stage on: runs/sweeps/other: no sweep: there is no plan.json");
  expect_part(none.err, "run that sweep first: orrery sweep run FILE");
  ASSERT_EQ(at.orrery({"sweep", "plan", "other.toml"}).code, 0);
  const Finished planned = run();
  EXPECT_EQ(planned.code, 1);
  expect_part(planned.err, "in runs/sweeps/other is missing; orrery sweep run makes it");
  ASSERT_EQ(at.orrery({"sweep", "run", "other.toml"}).code, 0);
  EXPECT_EQ(run().code, 0);
  expect_part(status(), "1 done");
}

}  // namespace
}  // namespace orrery
