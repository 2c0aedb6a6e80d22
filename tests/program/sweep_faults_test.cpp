// Sweeps whose runs are damaged, deleted, half done or out of disk: each says so, and costs no other run.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <random>
#include <sstream>
#include <thread>

#include "small_sweep.h"

namespace orrery {
namespace {

using nlohmann::json;

class SweepFaults : public Sweep {};

TEST_F(SweepFaults, DamagedRunsAreAStateOfTheirOwnAndMadeAnew) {
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv();
  fs::remove_all(folder_of(0));
  at.write(file_of(1, "run.json"), "{ half");
  const std::string metrics = at.read(file_of(2, "metrics.jsonl"));
  at.write(file_of(2, "metrics.jsonl"), metrics.substr(0, metrics.find('\n') + 1));
  std::string results = at.read(file_of(3, "probes/weight_structure/results.jsonl"));
  results[results.find("scalars") + 12] ^= 1;
  at.write(file_of(3, "probes/weight_structure/results.jsonl"), results);

  const std::string said = status();
  expect_part(said, "2 done, 1 missing, 3 damaged");
  expect_part(said, "metrics.jsonl");
  expect_part(said, "results.jsonl:1");
  expect_part(said, "`orrery sweep run` sets damaged runs aside and makes them anew");
  const Finished table = at.orrery({"sweep", "table", "s.toml", "--csv"});
  EXPECT_EQ(count(table.out, ",damaged,"), 3u) << table.out;
  expect_part(table.err, "3 of 6 runs are damaged");

  const Finished again = run();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(count(again.err, "is damaged and made anew: "), 3u) << again.err;
  expect_part(again.err, folder_of(2).filename().string() + ".damaged");
  EXPECT_EQ(csv(), expected);
  EXPECT_TRUE(fs::exists(folder_of(1).string() + ".damaged")) << "nothing is deleted";
}

TEST_F(SweepFaults, VerifySaysTheWayOutOfADamagedRun) {
  ASSERT_EQ(run().code, 0);
  at.write("s.toml", std::string("keep = \"none\"\n") + sweep);
  ASSERT_EQ(run().code, 0);
  const std::string metrics = at.read(file_of(2, "metrics.jsonl"));
  at.write(file_of(2, "metrics.jsonl"), metrics.substr(0, metrics.find('\n') + 1));
  // Without checkpoints nothing but its last step tells that it was longer.
  expect_part(status(), "metrics.jsonl: it ends at step 0, the run at step 20");
  EXPECT_EQ(at.orrery({"verify", "s.toml"}).code, 0) << "verify runs what is damaged anew";
}

// Which scalars a probe records is known once it has measured.
TEST_F(SweepFaults, AReadingThatCannotBeReadIsSaid) {
  at.write("s.toml",
           std::string(sweep) + "[[reading]]\nname = \"odd\"\nmetric = \"probe/weight_structure/nrm/L2\"\n");
  ASSERT_EQ(run().code, 0);
  const Finished table = at.orrery({"sweep", "table", "s.toml"});
  expect_part(table.err, "6 readings are empty because they could not be read");
  expect_part(table.err, "no such metric (did you mean \"probe/weight_structure/norm/L2\"?)");
}

TEST_F(SweepFaults, AMetricOfNoRunIsRefusedBeforeAnythingStarts) {
  const auto refused = [&](const std::string& more) {
    at.write("s.toml", std::string(sweep) + more);
    for (const char* action : {"plan", "run"}) {
      const Finished done = at.orrery({"sweep", action, "s.toml"});
      EXPECT_EQ(done.code, 2) << action;
      EXPECT_FALSE(fs::exists(at.path("runs/sweeps/s/runs")) && !folders().empty());
      if (action == std::string("run")) return done.err;
    }
    return std::string();
  };
  const std::string reading = "[[reading]]\nname = \"odd\"\n";
  expect_part(refused(reading + "metric = \"train/lss\"\n"),
              "s.toml:25:10: metric: no run has a metric \"train/lss\" (did you mean \"train/loss\"?)");
  expect_part(refused(reading + "metric = \"train/loss\"\nminus = \"test/los\"\n"),
              "s.toml:26:9: minus: no run has a metric \"test/los\"");
  expect_part(refused(reading + "metric = \"probe/nowhere/x\"\n"),
              "s.toml:25:10: reading.odd.metric: no probe has the label \"nowhere\"");
  expect_part(
      refused("[[expect]]\nequal = \"train/lss\"\nacross = \"seed\"\nalong = \"step\"\nbound = \"< 1\"\n"
              "source = \"x\"\n"),
      "s.toml:24:9: equal: no run has a metric \"train/lss\"");
  expect_part(refused("[[stage]]\nname = \"a\"\n[[stage]]\nname = \"b\"\nfrom = \"a\"\n"
                      "checkpoint = \"first test/acuracy >= 0.9\"\n"),
              "s.toml:28:14: checkpoint: no run has a metric \"test/acuracy\"");
  expect_part(refused("[set]\ntrain.stop_when = \"test/acuracy > 1\"\n"),
              "s.toml:24:19: train.stop_when: there is no metric \"test/acuracy\"");
}

TEST_F(SweepFaults, ARowOfNoRunIsRefusedBeforeAnythingStarts) {
  const auto refused = [&](const std::string& of) {
    at.write("s.toml", std::string(sweep) + "[[reading]]\nname = \"odd\"\n" + of);
    const Finished done = at.orrery({"sweep", "plan", "s.toml"});
    EXPECT_EQ(done.code, 2) << done.err;
    return done.err;
  };
  const std::string loss = refused("metric = \"train/loss\"\nwhen = \"step 7\"\n");
  expect_part(loss, "s.toml:26:8: when: \"step 7\" is a row that no run has of train/loss");
  expect_part(loss, "(train.eval_every); those around it are ");
  expect_part(refused("metric = \"train/loss\"\nwhen = \"step > 100000\"\nof = \"max\"\n"),
              "\"step > 100000\" is a row that no run has");
  expect_part(refused("metric = \"probe/weight_structure/norm/L2\"\nwhen = \"step 7\"\n"),
              "a probe measures at checkpoints");
}

// Whatever plan and metrics.jsonl agree on is accepted.
TEST_F(SweepFaults, EveryMetricThatARunWritesMayBeRead) {
  std::string every = sweep;
  at.write("every.toml", every);
  ASSERT_EQ(at.orrery({"train", "base.toml", "--out", "one"}).code, 0);
  const json row = json::parse(at.lines("one/metrics.jsonl").back());
  int n = 0;
  for (const auto& [name, value] : row.items())
    if (name != "step")
      every += "[[reading]]\nname = \"r" + std::to_string(n++) + "\"\nmetric = \"" + name + "\"\n";
  EXPECT_GE(n, 5);
  at.write("every.toml", every);
  const Finished planned = at.orrery({"sweep", "plan", "every.toml"});
  EXPECT_EQ(planned.code, 0) << planned.err;
}

TEST_F(SweepFaults, ATrainedRunThatLacksProbesIsNotDone) {
  const Finished planned = at.orrery({"sweep", "plan", "s.toml"});
  ASSERT_EQ(planned.code, 0) << planned.err;
  const Finished trained =
      at.orrery({"train", "base.toml", "--set", "train.weight_decay=0.1", "--out", folder_of(0).string()});
  ASSERT_EQ(trained.code, 0) << trained.err;
  expect_part(status(), "1 done, 5 missing");
  // As if it had been killed before it asked the probe at the last checkpoint.
  const std::string results = at.read(file_of(0, "probes/weight_structure/results.jsonl"));
  at.write(file_of(0, "probes/weight_structure/results.jsonl"), results.substr(0, results.find('\n') + 1));
  expect_part(status(), "0 done, 1 stale, 5 missing");
  const Finished done = run();
  EXPECT_EQ(done.code, 0) << done.err;
  expect_part(done.err, "1 of 6 runs stopped or killed before their end");
  EXPECT_EQ(at.read(file_of(0, "probes/weight_structure/results.jsonl")), results);
}

TEST_F(SweepFaults, KeepingLessThanAskedIsSaid) {
  at.write("s.toml", std::string("keep = \"none\"\n") + sweep);
  ASSERT_EQ(run().code, 0);
  at.write("s.toml", std::string("keep = \"last\"\n") + sweep);
  expect_part(status(), "6 done without checkpoints, as keep = \"none\" had it: 0-5; to have them, delete");
  expect_part(at.orrery({"sweep", "plan", "s.toml"}).out, "6 done without checkpoints");
  expect_part(run().err, "6 of 6 runs are done but keep no checkpoints");
  fs::remove_all(folder_of(0));
  ASSERT_EQ(run().code, 0);
  expect_part(status(), "5 done without checkpoints, as keep = \"none\" had it: 1-5");
}

// A folder is named for a config; what is in it is of that config.
TEST_F(SweepFaults, TheRunOfAnotherSeedIsNotTaken) {
  ASSERT_EQ(run().code, 0);
  const json plan = json::parse(at.read("runs/sweeps/s/plan.json"));
  const fs::path runs = at.path("runs/sweeps/s/runs");
  const std::string first = plan["runs"][0]["id"], second = plan["runs"][1]["id"];
  fs::remove_all(runs / first);
  fs::copy(runs / second, runs / first, fs::copy_options::recursive);
  const Finished seen = at.orrery({"sweep", "status", "runs/sweeps/s"});
  expect_part(seen.out, "1 damaged");
  const Finished again = run();
  EXPECT_EQ(again.code, 0);
  expect_part(again.err, first);
  expect_part(again.err, "seeds.data is 1, and the sweep has 0 for this run");
}

TEST_F(SweepFaults, ARunThatWentOnByHandIsNotTaken) {
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv();
  const Finished longer = at.orrery({"train", "--resume", folder_of(2).string(), "--set", "train.steps=40"});
  ASSERT_EQ(longer.code, 0) << longer.err;
  const std::string what = "train.steps is 40, and the sweep has 20 for this run";
  for (const char* of : {"s.toml", "runs/sweeps/s"}) {
    const Finished seen = at.orrery({"sweep", "status", of});
    expect_part(seen.out, "5 done, 1 damaged");
    expect_part(seen.out, what);
    expect_part(csv(of), ",damaged,,,,\n");
  }
  const Finished again =
      at.run("/bin/sh", {"-c", "SLURM_ARRAY_TASK_ID=2 " ORRERY_PROGRAM " sweep run s.toml --task"});
  EXPECT_EQ(again.code, 0) << again.err;
  expect_part(again.err, "is damaged and made anew: ");
  expect_part(again.err, what);
  EXPECT_EQ(csv(), expected);
  EXPECT_TRUE(fs::exists(folder_of(2).string() + ".damaged")) << "nothing is deleted";
}

TEST_F(SweepFaults, ASweepMayBeMoved) {
  at.write("s.toml", std::string(sweep) + "[[stage]]\nname = \"a\"\n[[stage]]\nname = \"b\"\nfrom = \"a\"\n" +
                         "[stage.set]\ntrain.lr = 0.01\n");
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv();
  fs::rename(at.path("runs/sweeps/s"), at.path("moved"));
  EXPECT_EQ(csv("moved"), expected);
  const Finished again = run({"--out", "moved"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(again.err.find("damaged"), std::string::npos) << again.err;
  EXPECT_EQ(csv("moved"), expected);
}

constexpr const char* with_norm = R"([[reading]]
name = "norm"
metric = "probe/weight_structure/norm/L2"
)";

TEST_F(SweepFaults, LostResultsAreMadeAgain) {
  at.write("s.toml", std::string(sweep) + with_norm);
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv();
  const std::string whole = at.read(file_of(1, "probes/weight_structure/results.jsonl"));
  ASSERT_EQ(count(whole, "\n"), 3u);
  at.write(file_of(1, "probes/weight_structure/results.jsonl"), whole.substr(0, whole.find('\n') + 1));
  at.write(file_of(2, "probes/weight_structure/results.jsonl"), "");
  fs::remove(folder_of(3) / "probes/weight_structure/null.json");
  const std::string said = status();
  expect_part(said, "3 done, 3 stale");
  expect_part(
      said,
      "3 stale, as they have lost results since they were done: 1-3 (results of weight_structure at 2 "
      "checkpoints, ...); `orrery sweep run` asks their probes again");
  expect_part(at.orrery({"sweep", "table", "s.toml", "--csv"}).out, ",stale,,");
  const Finished again = run();
  EXPECT_EQ(again.code, 0) << again.err;
  expect_part(again.err, "3 of 6 runs have lost results of probes since they were done");
  EXPECT_EQ(csv(), expected);
  EXPECT_EQ(at.read(file_of(1, "probes/weight_structure/results.jsonl")), whole);
  EXPECT_EQ(status(), "s: 6 runs: 6 done\n");
}

// Then there is nothing to make them from: the run is made anew.
TEST_F(SweepFaults, LostResultsOfARunWithoutCheckpointsAreDamage) {
  at.write("s.toml", std::string("keep = \"none\"\n") + sweep + with_norm);
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv();
  at.write(file_of(1, "probes/weight_structure/results.jsonl"), "");
  std::vector<std::string> rows = at.lines(file_of(2, "metrics.jsonl"));
  rows.erase(rows.begin() + 2);
  std::string text;
  for (const std::string& row : rows) text += row + "\n";
  at.write(file_of(2, "metrics.jsonl"), text);
  const std::string said = status();
  expect_part(said, "4 done, 2 damaged");
  expect_part(said, "it has lost results of weight_structure at 2 checkpoints, and keeps no checkpoint");
  expect_part(said, "metrics.jsonl: it is not what it was when this run was done");
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(csv(), expected);
}

// As an earlier version left it: its log does not say what the run held.
TEST_F(SweepFaults, LostResultsOfAnEarlierVersionAreMissed) {
  ASSERT_EQ(run().code, 0);
  for (size_t i = 0; i < 6; ++i) at.write(file_of(i, "sweep.log"), "done\n");
  EXPECT_EQ(status(), "s: 6 runs: 6 done\n");
  at.write(file_of(1, "probes/weight_structure/results.jsonl"), "");
  at.write(file_of(2, "probes/weight_structure/results.jsonl"), "");
  at.write(file_of(2, "sweep.log"), "warning: a probe failed\ndone\n");
  expect_part(status(), "5 done, 1 stale");  // that a probe failed is no loss
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(status(), "s: 6 runs: 6 done\n");
}

TEST_F(SweepFaults, AChangedCopyOfThePlanIsRefused) {
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv("runs/sweeps/s");
  std::string plan = at.read("runs/sweeps/s/plan.json");
  const size_t value = plan.find("\"train.weight_decay\": 0.1");
  ASSERT_NE(value, std::string::npos);
  plan[value + 24] = '7';
  at.write("runs/sweeps/s/plan.json", plan);
  for (const char* action : {"status", "table", "report"}) {
    const Finished done = at.orrery({"sweep", action, "runs/sweeps/s"});
    EXPECT_EQ(done.code, 1) << action;
    expect_part(done.err, "runs/sweeps/s/plan.json: damaged: its content does not match its checksum");
    expect_part(done.err, "orrery sweep plan FILE --out runs/sweeps/s");
  }
  ASSERT_EQ(at.orrery({"sweep", "plan", "s.toml", "--out", "runs/sweeps/s"}).code, 0);
  EXPECT_EQ(csv("runs/sweeps/s"), expected);
}

TEST_F(SweepFaults, WhatIsNoSweepIsSaid) {
  for (const char* action : {"status", "table", "plan", "run", "commands"}) {
    const Finished done = at.orrery({"sweep", action, "nowhere"});
    EXPECT_EQ(done.code, 2);
    expect_part(done.err, "nowhere: no sweep: there is no such file or folder");
    EXPECT_EQ(done.err.find("config"), std::string::npos) << done.err;
  }
  fs::create_directories(at.path("empty"));
  expect_part(at.orrery({"sweep", "status", "empty"}).err, "empty: no sweep: there is no plan.json");
}

TEST_F(SweepFaults, HelpOfAnActionHasItsOwnExamples) {
  for (const char* action : {"plan", "run", "status", "table", "commands"}) {
    const std::string help = at.orrery({"sweep", action, "--help"}).out;
    expect_part(help, std::string("  orrery sweep ") + action + " ");
    EXPECT_EQ(help.find("orrery new task"), std::string::npos) << help;
  }
}

TEST_F(SweepFaults, TheVerdictsKeepToTheTerminal) {
  if (!has_terminals()) GTEST_SKIP() << "no pseudo-terminals here";
  std::string wordy = sweep;
  const std::string source = "source = \"by construction";
  wordy.replace(
      wordy.find(source), source.size(),
      source + ", as a long sentence about what networks of this kind do when they are trained, says");
  at.write("s.toml", wordy);
  ASSERT_EQ(run().code, 0);
  const Finished done = at.on_terminal(80, {"verify", "s.toml"});
  std::istringstream lines(done.out);
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && line.back() == '\r') line.pop_back();
    const bool coloured = line.find('\x1b') != std::string::npos;
    EXPECT_TRUE(coloured || line.size() <= 80) << line;
  }
  expect_part(done.out, "expected");
}

TEST_F(SweepFaults, VerifyAndRunNameTheFolderByOneRule) {
  at.write("s.toml", std::string("name = \"other\"\n") + sweep);
  ASSERT_EQ(at.orrery({"verify", "s.toml", "--runs", "all"}).code, 0);
  EXPECT_TRUE(fs::exists(at.path("all/other/plan.json")));
  EXPECT_FALSE(fs::exists(at.path("all/s")));
}

TEST_F(SweepFaults, ALockThatADeadProcessLeftIsTakenOver) {
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv();
  fs::remove_all(folder_of(0));
  const std::string id = folder_of(0).filename().string();
  at.write("runs/sweeps/s/locks/" + id + "/.lock", "process 4242");
  at.write(file_of(1, ".lock"), "process 4242");
  expect_part(status(), "5 done, 1 missing");
  const Finished done = run();
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(csv(), expected);
}

// A disk that is full in earnest: a file system in memory, which takes rights to mount.
TEST_F(SweepFaults, AFullDiskCostsNoOtherRun) {
  const std::string orrery = ORRERY_PROGRAM " sweep ";
  const Finished done = at.run(
      "/usr/bin/unshare",
      {"-m", "/bin/sh", "-c",
       "mkdir -p '" + at.path("small").string() + "' && cd '" + at.path("").string() +
           "' && mount -t tmpfs -o size=160k tmpfs small || { echo no mount; exit 0; }; " + orrery +
           "run s.toml --out small/s; echo first $?; " + orrery +
           "status s.toml --out small/s; mount -o remount,size=64m small; " + orrery +
           "run s.toml --out small/s; echo second $?; " + orrery + "table s.toml --out small/s --csv"});
  if (done.out.find("no mount") != std::string::npos || done.code == 1)
    GTEST_SKIP() << "cannot mount a small disk here: " << done.err;
  ASSERT_EQ(run().code, 0);
  expect_part(done.out, "first 1");
  expect_part(done.err, "No space left on device");
  expect_part(done.out, "second 0");
  expect_part(done.out, csv());
}

// Runs of a hundred steps in two stages, killed fifty times at random moments.
class KilledSweep : public Sweep {
 protected:
  void SetUp() override {
    Sweep::SetUp();
    std::string longer = base;
    longer.replace(longer.find("steps = 20"), 10, "steps = 100");
    at.write("base.toml", longer);
    const std::string staged =
        std::string(sweep) + "[[stage]]\nname = \"first\"\n[[stage]]\nname = \"second\"\nfrom = \"first\"\n" +
        "[stage.set]\ntrain.lr = 0.01\n";
    at.write("s.toml", staged);
    at.write("whole.toml", staged);
  }
};

TEST_F(KilledSweep, FiftyKillsDoNotChangeTheTable) {
  const Finished whole = at.orrery({"sweep", "run", "whole.toml", "--out", "whole"});
  ASSERT_EQ(whole.code, 0) << whole.err;
  std::mt19937 random(7);
  int of_workers = 0;
  for (int round = 0; round < 50; ++round) {
    const pid_t pid = at.start({"sweep", "run", "s.toml", "--jobs", "2"});
    // Every other time once it has workers, however long the program takes to begin.
    for (int i = 0; round % 2 && i < 500 && children_of(pid).empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
    if (const auto workers = children_of(pid); round % 2 && !workers.empty()) {
      kill(workers[random() % workers.size()], SIGKILL);
      ++of_workers;
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 100));
    }
    kill(pid, SIGKILL);
    at.wait(pid);
  }
  EXPECT_GT(of_workers, 0);
  const Finished done = run({"--jobs", "2"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(csv(), csv("whole"));
  for (const fs::path& folder : folders())
    EXPECT_EQ(folder.string().find(".damaged"), std::string::npos) << "a kill is no damage: " << folder;
}

}  // namespace
}  // namespace orrery
