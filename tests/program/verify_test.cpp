// orrery verify: trains, compares, says what it found, and does not train twice. Starting from a checkpoint.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>

#include "run_program.h"

namespace orrery {
namespace {

const std::string verified = R"(
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
steps = 100
eval_every = 10
[checkpoints]
every = 50
)";

std::string expecting(const std::string& bound) {
  return verified + "[[expect]]\nmetric = \"train/loss\"\nbound = \"" + bound + "\"\nsource = \"a test\"\n";
}

TEST(Verify, PassesWhereTheExpectationHoldsAndDoesNotTrainTwice) {
  Workplace at;
  at.write("good.toml", expecting("< 1.5"));
  const Finished first = at.orrery({"verify", "good.toml"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_NE(first.out.find("train/loss < 1.5 at the end"), std::string::npos) << first.out;
  EXPECT_NE(first.out.find("ok"), std::string::npos) << first.out;
  const auto run = at.tree("runs/verify/good");
  const Finished second = at.orrery({"verify", "good.toml"});
  EXPECT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(second.out, first.out);
  EXPECT_NE(second.err.find("taken from runs/verify/good"), std::string::npos) << second.err;
  EXPECT_EQ(at.tree("runs/verify/good"), run);
}

TEST(Verify, FailsWhereItDoesNotHold) {
  Workplace at;
  at.write("bad.toml", expecting("> 100"));
  const Finished done = at.orrery({"verify", "bad.toml"});
  EXPECT_EQ(done.code, 1) << done.err;
  EXPECT_NE(done.out.find("FAILED"), std::string::npos) << done.out;
}

TEST(Verify, ChangedExpectationsAreJudgedOnTheSameRunButAnotherConfigIsRefused) {
  Workplace at;
  at.write("x.toml", expecting("< 1.5"));
  ASSERT_EQ(at.orrery({"verify", "x.toml"}).code, 0);
  at.write("x.toml", expecting("> 100"));
  const Finished judged = at.orrery({"verify", "x.toml"});
  EXPECT_EQ(judged.code, 1);
  EXPECT_NE(judged.err.find("taken from"), std::string::npos) << judged.err;
  at.write("x.toml", expecting("< 1.5") + "[seeds]\ninit = 1\n");
  const Finished refused = at.orrery({"verify", "x.toml"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("made with another config"), std::string::npos) << refused.err;
}

TEST(Verify, OfARunThatDivergedNothingHolds) {
  Workplace at;
  std::string wild = expecting("< 1e9");
  wild.insert(wild.find("[train]\n") + 8, "lr = 1e30\n");
  at.write("wild.toml", wild);
  for (int i = 0; i < 2; ++i) {  // the second time it is there
    const Finished done = at.orrery({"verify", "wild.toml"});
    EXPECT_EQ(done.code, 1) << done.out << done.err;
    EXPECT_NE(done.out.find("the run diverged after step"), std::string::npos) << done.out;
    EXPECT_NE(done.out.find("FAILED"), std::string::npos) << done.out;
    EXPECT_EQ(done.err.find("taken from") != std::string::npos, i == 1) << done.err;
  }
}

TEST(Verify, WhatNoRunCanAnswerIsRefusedBeforeItIsTrained) {
  Workplace at;
  const auto refused = [&](const std::string& expect, const std::string& said) {
    at.write("x.toml", verified + "[[expect]]\n" + expect + "bound = \"> 0\"\nsource = \"a test\"\n");
    const Finished done = at.orrery({"verify", "x.toml"});
    EXPECT_EQ(done.code, 2) << done.err;
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
    EXPECT_FALSE(std::filesystem::exists(at.path("runs")));
  };
  refused(
      "metric = \"test/acuracy\"\n",
      "x.toml:17:1: expect.metric: there is no metric \"test/acuracy\" (did you mean \"test/accuracy\"?)");
  refused("metric = \"test/loss\"\nwhen = \"step 15\"\n",
          "x.toml:18:1: expect.when: \"step 15\" is a row that the run will not have of test/loss");
  refused("metric = \"train/loss\"\nminus = \"test/los\"\n",
          "x.toml:18:1: expect.minus: there is no metric \"test/los\"");
  // A shorter training is no mistake.
  at.write("x.toml", expecting("> 0") + "when = \"step 100\"\n");
  EXPECT_EQ(at.orrery({"train", "x.toml", "--set", "train.steps=10", "--out", "short"}).code, 0);
}

TEST(Verify, AConfigThatCannotBeVerifiedCostsOnlyItself) {
  Workplace at;
  at.write("a.toml", expecting("< 1.5"));
  ASSERT_EQ(at.orrery({"verify", "a.toml"}).code, 0);
  at.write("a.toml", expecting("< 1.5") + "[seeds]\ninit = 1\n");
  at.write("b.toml", expecting("< 1.5"));
  for (const std::string jobs : {"1", "2"}) {
    const Finished done = at.orrery({"verify", "a.toml", "b.toml", "--jobs", jobs});
    EXPECT_EQ(done.code, 2);
    EXPECT_NE(done.err.find("made with another config"), std::string::npos) << done.err;
    EXPECT_NE(done.out.find("b.toml\n"), std::string::npos) << done.out;
  }
}

// The third diverges, which costs itself only.
TEST(Verify, WithJobsSingleRunsAreTrainedSideBySideToTheSameNumbers) {
  Workplace at;
  at.write("a.toml", expecting("< 1.5"));
  at.write("b.toml", expecting("> 100") + "[seeds]\ninit = 1\n");
  std::string wild = expecting("< 1.5");
  wild.insert(wild.find("[train]\n") + 8, "lr = 1e30\n");
  at.write("wild.toml", wild);
  const Finished alone = at.orrery({"verify", "a.toml", "b.toml", "wild.toml", "--runs", "alone"});
  const Finished together =
      at.orrery({"verify", "a.toml", "b.toml", "wild.toml", "--runs", "together", "--jobs", "2"});
  EXPECT_EQ(alone.code, 1);
  EXPECT_EQ(together.code, 1) << together.err;
  EXPECT_EQ(together.out, alone.out);
  for (const std::string run : {"a", "b"}) {
    EXPECT_NE(together.err.find(run + ": taken from together/" + run), std::string::npos) << together.err;
    EXPECT_EQ(at.read("together/" + run + "/metrics.jsonl"), at.read("alone/" + run + "/metrics.jsonl"));
  }
}

TEST(Verify, TiersTakeTheQuickerOnesToo) {
  Workplace at;
  at.write("configs/a.toml", expecting("< 1.5") + "[verify]\ntier = \"quick\"\n");
  at.write("configs/b.toml", expecting("< 1.5") + "[verify]\ntier = \"standard\"\n");
  at.write("configs/c.toml", expecting("< 1.5"));  // full
  at.write("configs/d.toml", verified);            // nothing to verify
  const Finished standard = at.orrery({"verify", "--tier", "standard"});
  EXPECT_EQ(standard.code, 0) << standard.err;
  EXPECT_NE(standard.out.find("configs/a.toml"), std::string::npos);
  EXPECT_NE(standard.out.find("configs/b.toml"), std::string::npos);
  EXPECT_EQ(standard.out.find("configs/c.toml"), std::string::npos);
  EXPECT_EQ(standard.out.find("configs/d.toml"), std::string::npos);
}

TEST(Verify, TiersFindConfigsInFoldersOfTheirText) {
  Workplace at;
  at.write("configs/a_2023/a.toml", expecting("< 1.5") + "[verify]\ntier = \"quick\"\n");
  at.write("configs/pipelines/p.toml", "[[probe]]\nname = \"weight_structure\"\n");
  const Finished done = at.orrery({"verify", "--tier", "quick"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("configs/a_2023/a.toml"), std::string::npos) << done.out;
  at.write("configs/b_2023/a.toml", expecting("< 1.5") + "[verify]\ntier = \"quick\"\n");
  const Finished refused = at.orrery({"verify", "--tier", "quick"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("are both called a"), std::string::npos) << refused.err;
}

TEST(Verify, ShowsTheClaimBesideItsSourceAndAnotherClaimIsNoOtherRun) {
  Workplace at;
  at.write("x.toml", expecting("< 1.5"));
  ASSERT_EQ(at.orrery({"verify", "x.toml"}).code, 0);
  at.write("x.toml", expecting("< 1.5") + "claim = \"it learns\"\n[gallery]\ntitle = \"T\"\n");
  const Finished told = at.orrery({"verify", "x.toml"});
  EXPECT_EQ(told.code, 0) << told.err;
  EXPECT_NE(told.err.find("taken from"), std::string::npos) << told.err;
  EXPECT_NE(told.out.find("a test: it learns"), std::string::npos) << told.out;
  const auto json = nlohmann::json::parse(at.orrery({"verify", "x.toml", "--json"}).out);
  EXPECT_EQ(json["claim"], "it learns");
  EXPECT_EQ(json["source"], "a test");
}

TEST(Verify, EveryCommandSaysWhereAConfigIsThatMoved) {
  Workplace at;
  at.write("configs/a_2023/a.toml", expecting("< 1.5"));
  at.write("configs/a_2023/sweeps/a.toml", "base = \"../a.toml\"\n");
  const std::vector<std::vector<std::string>> commands = {
      {"train", "configs/a.toml"},
      {"verify", "configs/a.toml"},
      {"check", "weight_structure", "--config", "configs/a.toml"}};
  for (const auto& command : commands) {
    const Finished done = at.orrery(command);
    EXPECT_EQ(done.code, 2) << command.front() << done.err;
    EXPECT_NE(done.err.find("configs/a.toml is now configs/a_2023/a.toml"), std::string::npos) << done.err;
  }
  const Finished sweep = at.orrery({"sweep", "plan", "configs/sweeps/a.toml"});
  EXPECT_EQ(sweep.code, 2);
  EXPECT_NE(sweep.err.find("configs/sweeps/a.toml is now configs/a_2023/sweeps/a.toml"), std::string::npos)
      << sweep.err;
}

TEST(Verify, RefusesWhatItCannotVerify) {
  Workplace at;
  at.write("plain.toml", verified);
  const Finished nothing = at.orrery({"verify", "plain.toml"});
  EXPECT_EQ(nothing.code, 2);
  EXPECT_NE(nothing.err.find("no [[expect]] entry"), std::string::npos) << nothing.err;
  EXPECT_EQ(at.orrery({"verify"}).code, 2);
  EXPECT_EQ(at.orrery({"verify", "--tier", "quick"}).code, 2);  // there is no configs/ here
  EXPECT_FALSE(std::filesystem::exists(at.path("runs")));
}

TEST(Init, StartsFromACheckpointOnOtherData) {
  Workplace at;
  at.write("small.toml", verified);
  ASSERT_EQ(at.orrery({"train", "small.toml", "--out", "first"}).code, 0);
  const std::string from = "init.from=first/checkpoints/step_00000100.safetensors";
  const Finished done = at.orrery(
      {"train", "small.toml", "--out", "second", "--set", from, "--set", "task.train_fraction=0.3"});
  ASSERT_EQ(done.code, 0) << done.err;
  // The weights, behind the header.
  const auto weights = [&](const std::string& file) {
    const std::string bytes = at.read(file);
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    return bytes.substr(sizeof header + header);
  };
  EXPECT_EQ(weights("second/checkpoints/step_00000000.safetensors"),
            weights("first/checkpoints/step_00000100.safetensors"));
  const auto start = nlohmann::json::parse(at.lines("second/metrics.jsonl").front());
  const auto end = nlohmann::json::parse(at.lines("first/metrics.jsonl").back());
  EXPECT_EQ(start["weights/norm"], end["weights/norm"]);
}

TEST(Init, NamesEveryShapeThatDoesNotFit) {
  Workplace at;
  at.write("small.toml", verified);
  ASSERT_EQ(at.orrery({"train", "small.toml", "--out", "first", "--set", "train.steps=1"}).code, 0);
  const Finished done = at.orrery({"train", "small.toml", "--out", "second", "--set", "task.p=5", "--set",
                                   "init.from=first/checkpoints/step_00000001.safetensors"});
  EXPECT_EQ(done.code, 2);
  EXPECT_NE(done.err.find("embed.W_E: shape [8, 16], expected [6, 16]"), std::string::npos) << done.err;
  EXPECT_NE(done.err.find("unembed.W_U: shape [16, 7], expected [16, 5]"), std::string::npos) << done.err;
  EXPECT_FALSE(std::filesystem::exists(at.path("second")));
}

// The quickstart is one of them.
TEST(VerifyTier, QuickReproduces) {
  const Workplace at;
  const Finished done = at.orrery({"verify", "--tier", "quick", "--configs", ORRERY_SOURCE_DIR "/configs"});
  EXPECT_EQ(done.code, 0) << done.out << done.err;
  for (const char* said : {"configs/quickstart.toml", "configs/pearce_2023/sparse_parity.toml",
                           "probe/excluded_loss/loss/train"})
    EXPECT_NE(done.out.find(said), std::string::npos) << said << "\n" << done.out;
}

}  // namespace
}  // namespace orrery
