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
  const std::string lines = at.orrery({"sweep", "table", "s.toml", "--json"}).out;
  EXPECT_EQ(json::parse(lines.substr(0, lines.find('\n')))["stage"], "full");
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

// Others wait for it, so it is made anew.
TEST_F(SweepStages, ADamagedCheckpointToStartFromIsMadeAnew) {
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv();
  const std::string parent = folder_of(0).filename().string();
  const std::string checkpoint = file_of(0, "checkpoints/step_00000020.safetensors");
  std::string bytes = at.read(checkpoint);
  bytes[bytes.size() - 5] ^= 1;
  at.write(checkpoint, bytes);
  EXPECT_EQ(status(), "s: 6 runs: 6 done\n") << "nobody waits for it";
  fs::remove_all(folder_of(2));
  fs::remove_all(folder_of(3));
  const std::string said = status();
  expect_part(said, "3 done, 2 missing, 1 damaged");
  expect_part(said, checkpoint + ": ");
  const Finished one = run({"--index", "2"});
  EXPECT_EQ(one.code, 1);
  expect_part(one.err, "cannot start: run " + parent + " of stage full is damaged (");
  expect_part(one.err, "orrery sweep run makes it anew");
  const Finished done = run();
  EXPECT_EQ(done.code, 0) << done.err;
  expect_part(done.err, parent + " (stage full, seed 0) is damaged and made anew: ");
  EXPECT_EQ(csv(), expected);
  EXPECT_TRUE(fs::exists(folder_of(0).string() + ".damaged")) << "nothing is deleted";
}

TEST_F(SweepStages, ARunAndTheOneItStartsFromMayBothBeDamaged) {
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv();
  std::string bytes = at.read(file_of(0, "checkpoints/step_00000020.safetensors"));
  bytes[bytes.size() - 5] ^= 1;
  at.write(file_of(0, "checkpoints/step_00000020.safetensors"), bytes);
  at.write(file_of(2, "run.json"), "{ half");
  const Finished done = run();
  EXPECT_EQ(done.code, 1);
  expect_part(done.err,
              "it cannot start: run " + folder_of(0).filename().string() + " of stage full is damaged (");
  const Finished again = run();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(csv(), expected);
}

TEST_F(SweepStages, ADamagedCheckpointOfAnotherSweepIsSaid) {
  at.write("other.toml", "base = \"base.toml\"\nseeds = 1\n");
  ASSERT_EQ(at.orrery({"sweep", "run", "other.toml"}).code, 0);
  at.write("s.toml", "base = \"base.toml\"\n[[stage]]\nname = \"on\"\nsweep = \"runs/sweeps/other\"\n");
  const json plan = json::parse(at.read("runs/sweeps/other/plan.json"));
  const std::string id = plan["runs"][0]["id"];
  const std::string folder = "runs/sweeps/other/runs/" + id;
  std::string bytes = at.read(folder + "/checkpoints/step_00000020.safetensors");
  const std::string whole = bytes;
  bytes[bytes.size() - 5] ^= 1;
  at.write(folder + "/checkpoints/step_00000020.safetensors", bytes);
  const Finished done = run();
  EXPECT_EQ(done.code, 1);
  expect_part(done.err, "run " + id + " in runs/sweeps/other is damaged (");
  expect_part(done.err, "to make it anew delete " + folder + " and run that sweep again");
  at.write(folder + "/checkpoints/step_00000020.safetensors", whole);
  // A run that went on by hand is not the one that the other sweep has there.
  ASSERT_EQ(at.orrery({"train", "--resume", folder, "--set", "train.steps=40"}).code, 0);
  const Finished other = run();
  EXPECT_EQ(other.code, 1);
  expect_part(other.err, "train.steps is 40, and the sweep has 20 for this run");
}

TEST_F(SweepStages, ARunWithoutATestSetHasNoReadingOfOne) {
  edit("task.train_fraction = 0.8", "task.train_fraction = 1");
  edit("[[class]]", "[[class]]\nname = \"well\"\nif = \"begin >= 0\"\n[[class]]");
  at.write("s.toml",
           at.read("s.toml") + "[[expect]]\nmedian = \"begin\"\nbound = \">= 0\"\nsource = \"x\"\n" +
               "[[expect]]\nmedian = \"begin\"\nwhere.stage = \"fewer\"\nbound = \">= 0\"\nsource = \"x\"\n");
  edit("share = \"all\"", "share = \"well\"");
  ASSERT_EQ(run().code, 0);
  for (const std::string& text : {csv(), at.orrery({"sweep", "table", "s.toml", "--json"}).out,
                                  at.orrery({"sweep", "table", "s.toml"}).out})
    EXPECT_EQ(text.find("NaN"), std::string::npos) << text;
  expect_part(csv(), ",full,,0,done,all,,");
  const Finished shown = at.orrery({"sweep", "table", "s.toml"});
  expect_part(shown.out, "  -  ");
  expect_part(shown.err, "2 of 6 runs have no test set, and no readings of one");
  EXPECT_EQ(shown.err.find("could not be read"), std::string::npos) << shown.err;
  const Finished lines = at.orrery({"sweep", "table", "s.toml", "--json"});
  const json first = json::parse(lines.out.substr(0, lines.out.find('\n')))["readings"]["begin"];
  EXPECT_TRUE(first["value"].is_null());
  EXPECT_EQ(first["why"], "no test set");
  const Finished judged = at.orrery({"verify", "s.toml", "--json"});
  expect_part(judged.out, "2 of 6 runs have no test set; leave them out by `where`");
  EXPECT_EQ(count(judged.out, "\"passed\":true"), 2u) << judged.out;
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
