// Sets of runs: they share work, go on after anything, and one that fails costs itself only.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

#include "small_sweep.h"

namespace orrery {
namespace {

using nlohmann::json;

TEST_F(Sweep, PlansRunsAndShowsItself) {
  const Finished planned = at.orrery({"sweep", "plan", "s.toml"});
  ASSERT_EQ(planned.code, 0) << planned.err;
  for (const char* part : {"s: 6 runs of base.toml", "train.weight_decay", "0.1, 1", "0 done, 6 missing",
                           "unknown until a run of this sweep is done", "runs/sweeps/s"})
    expect_part(planned.out, part);
  EXPECT_TRUE(folders().empty());
  const Finished done = run({"--jobs", "2"});
  ASSERT_EQ(done.code, 0) << done.err;
  expect_part(done.err, "6 of 6 runs done");
  EXPECT_EQ(folders().size(), 6u);
  EXPECT_EQ(status(), "s: 6 runs: 6 done\n");
  EXPECT_EQ(status({"--indices"}), "s: 6 runs: 6 done\n  done  0-5\n");

  const std::string rows = csv();
  EXPECT_EQ(rows.substr(0, rows.find('\n')),
            "index,run,train.weight_decay,seed,status,class,loss,never,never_censored_at");
  EXPECT_EQ(count(rows, ",done,trained,"), 6u);
  EXPECT_EQ(count(rows, ",,20\n"), 6u) << "what never came is censored at the last step:\n" << rows;
  EXPECT_EQ(csv("runs/sweeps/s"), rows);
  const Finished lines = at.orrery({"sweep", "table", "runs/sweeps/s", "--json"});
  const json first = json::parse(lines.out.substr(0, lines.out.find('\n')));
  EXPECT_EQ(first["keys"]["train.weight_decay"], 0.1);
  EXPECT_EQ(first["readings"]["never"]["censored_at"], 20);
  EXPECT_TRUE(first["readings"]["never"]["value"].is_null());
  expect_part(at.orrery({"sweep", "table", "s.toml"}).out, "never (> 20)");
  expect_part(at.orrery({"sweep", "plan", "s.toml"}).out, "nothing is left to do");
}

TEST_F(Sweep, AgainDoesNothing) {
  ASSERT_EQ(run().code, 0);
  const auto before = at.tree("runs/sweeps/s");
  ASSERT_EQ(run().code, 0);
  EXPECT_EQ(at.tree("runs/sweeps/s"), before);
}

TEST_F(Sweep, ItsCommandsMakeTheSameRuns) {
  const Finished listed = at.orrery({"sweep", "commands", "s.toml"});
  ASSERT_EQ(count(listed.out, "\n"), 6u);
  std::istringstream words(listed.out.substr(0, listed.out.find('\n')));
  std::vector<std::string> arguments;
  for (std::string word; words >> word;) arguments.push_back(word);
  EXPECT_EQ(arguments.front(), "orrery");
  arguments.erase(arguments.begin());
  ASSERT_EQ(at.orrery(arguments).code, 0);
  expect_part(status(), "1 done, 5 missing");
  ASSERT_EQ(run().code, 0);
  EXPECT_EQ(folders().size(), 6u);
}

TEST_F(Sweep, ADivergingPointCostsItselfOnly) {
  at.write("s.toml", std::string("base = \"base.toml\"\n[set]\ntrain.optimizer = \"sgd\"\n[grid]\n") +
                         "train.lr = [0.01, 1e30, 0.02]\n");
  const Finished done = run();
  EXPECT_EQ(done.code, 1);
  expect_part(done.err, "train.lr = 1e+30) failed: the loss became NaN or infinite after step");
  expect_part(status(), "2 done, 1 failed");
  EXPECT_EQ(status({"--failed", "--indices"}), "1\n");
  expect_part(status({"--failed"}), "the loss became NaN or infinite");
  EXPECT_EQ(run().code, 1) << "it is not tried again, and still failed";
  expect_part(csv(), ",1e+30,failed");
}

TEST_F(Sweep, ABadPointIsNamedBeforeAnythingStarts) {
  at.write("s.toml", "base = \"base.toml\"\n[grid]\ntask.p = [5, 1]\n");
  const Finished value = run();
  EXPECT_EQ(value.code, 2);
  expect_part(value.err, "s.toml:3:14: task.p: expected an integer 2 to 4096, got 1 (at task.p = 1)");
  at.write("s.toml", "base = \"base.toml\"\n[grid]\ntask.train_fraction = [0.5, 1e-9]\n");
  const Finished split = run();
  EXPECT_NE(split.code, 0);
  expect_part(split.err, "(at task.train_fraction = 1e-09)");
  EXPECT_FALSE(fs::exists(at.path("runs/sweeps/s/runs")) && !folders().empty());
}

TEST_F(Sweep, AChangedBaseMakesNewRunsAndNamesTheOld) {
  ASSERT_EQ(run().code, 0);
  at.write("base.toml", std::string(base) + "[log]\ntensorboard = false\n");
  expect_part(at.orrery({"sweep", "plan", "s.toml"}).out, "6 done");  // a default, written out
  std::string changed = base;
  changed.replace(changed.find("steps = 20"), 10, "steps = 25");
  at.write("base.toml", changed);
  const Finished planned = at.orrery({"sweep", "plan", "s.toml"});
  expect_part(planned.out, "0 done, 6 missing");
  expect_part(planned.out, "6 of runs/sweeps/s/runs, of no run of this plan");
}

TEST_F(Sweep, VerifyJudgesTheSet) {
  const Finished good = at.orrery({"verify", "s.toml"});
  EXPECT_EQ(good.code, 0) << good.err << good.out;
  for (const char* part :
       {"share of trained >= 1", "1 (6 of 6)", "0.61 to 1", "by construction", "beyond 20 (6 of 6 never)"})
    expect_part(good.out, part);
  std::string worse = sweep;
  worse.replace(worse.find("> 10"), 4, "<= 9");
  at.write("s.toml", worse);
  const Finished bad = at.orrery({"verify", "s.toml"});
  EXPECT_EQ(bad.code, 1);
  expect_part(bad.out, "FAILED");
}

TEST_F(Sweep, ATierHoldsTheSweepsBesideTheConfigs) {
  at.write("configs/base.toml", base);
  std::string text = sweep;
  text.replace(text.find("base.toml"), 9, "../base.toml");
  at.write("configs/sweeps/s.toml", text + "[verify]\ntier = \"standard\"\n");
  const Finished done = at.orrery({"verify", "--tier", "standard"});
  EXPECT_EQ(done.code, 0) << done.err;
  expect_part(done.out, "configs/sweeps/s.toml");
  EXPECT_EQ(at.orrery({"verify", "--tier", "quick"}).out, "");
  at.write("configs/sweeps/s.toml", text + "[verify]\ntier = \"soon\"\n");
  expect_part(at.orrery({"verify", "--tier", "quick"}).err, "verify.tier: expected one of");
}

TEST_F(Sweep, KeepingNoCheckpointsKeepsTheCurves) {
  at.write("s.toml", std::string("keep = \"none\"\n") + sweep);
  ASSERT_EQ(run().code, 0);
  for (const fs::path& folder : folders()) {
    EXPECT_TRUE(fs::is_empty(folder / "checkpoints")) << folder;
    EXPECT_TRUE(fs::exists(folder / "metrics.jsonl"));
  }
  const auto before = at.tree("runs/sweeps/s");
  ASSERT_EQ(run().code, 0);
  EXPECT_EQ(at.tree("runs/sweeps/s"), before);
}

TEST_F(LongSweep, CtrlCStopsAllAndTheNextGoesOn) {
  const pid_t pid = at.start({"sweep", "run", "s.toml", "--jobs", "2"});
  while (runs_begun() < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(pid, SIGINT);
  const Finished stopped = at.wait(pid);
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  expect_part(stopped.err, "go on with: orrery sweep run s.toml\n");
  EXPECT_EQ(status().find("running"), std::string::npos) << status();
  for (const fs::path& folder : folders()) {
    const json sessions =
        json::parse(at.read(fs::relative(folder / "run.json", at.path("")).string()))["sessions"];
    EXPECT_NE(sessions.back()["ended"], "running") << "stopped without an orderly end: " << folder;
  }
  const Finished done = run();
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(csv(), expected);
}

TEST_F(LongSweep, ABatchSystemsSignalStopsInOrderToBeStartedAgain) {
  for (const int signal_number : {SIGUSR1, SIGUSR2, SIGXCPU, SIGTERM}) {
    at.write("s.toml", std::string(sweep) + "[[reading]]\nname = \"s" + std::to_string(signal_number) +
                           "\"\nmetric = \"train/loss\"\n");
    if (fs::exists(at.path("runs"))) fs::remove_all(at.path("runs"));
    const pid_t pid = at.start({"sweep", "run", "s.toml", "--requeue-code", "75"});
    while (runs_begun() < 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    kill(pid, signal_number);
    kill(pid, signal_number == SIGTERM ? 0 : signal_number);
    const Finished stopped = at.wait(pid);
    EXPECT_EQ(stopped.code, 75) << stopped.err;
    EXPECT_EQ(status().find("failed"), std::string::npos) << status();
  }
}

TEST_F(Sweep, ATaskOfAnArrayDoesItsShare) {
  const Finished none = run({"--task"});
  EXPECT_EQ(none.code, 2);
  expect_part(none.err, "no array job set the number of this task");
  const auto task = [&](const std::string& variable, const std::string& more) {
    return at.run("/bin/sh", {"-c", variable + " " ORRERY_PROGRAM " sweep run s.toml --task " + more});
  };
  EXPECT_EQ(task("SLURM_ARRAY_TASK_ID=1", "--pack 2").code, 0);
  EXPECT_EQ(status({"--indices"}), "s: 6 runs: 2 done, 4 missing\n  done     2-3\n  missing  0-1,4-5\n");
  EXPECT_EQ(task("SGE_TASK_ID=1", "--offset -1").code, 0);
  expect_part(status({"--indices"}), "done     0,2-3");
  const Finished beyond = task("PBS_ARRAY_INDEX=9", "");
  EXPECT_EQ(beyond.code, 0);
  expect_part(beyond.err, "no run of the sweep is of this task");
  for (const char* index : {"6", "-1"}) {
    const Finished none = run({"--index", index});
    EXPECT_EQ(none.code, 2);
    expect_part(none.err, std::string("--index ") + index + ": the sweep has runs 0 to 5");
  }
}

TEST_F(Sweep, ADryRunShowsWhatWouldBeSubmitted) {
  at.write("s.toml", std::string(sweep) + "[[stage]]\nname = \"a\"\n[[stage]]\nname = \"b\"\nfrom = \"a\"\n");
  const Finished dry = at.orrery({"sweep", "submit", "s.toml", "--slurm", "--dry-run", "--pack", "2"});
  ASSERT_EQ(dry.code, 0) << dry.err;
  EXPECT_EQ(count(dry.out, "#SBATCH --array=0-2\n"), 2u) << dry.out;
  const std::string scripts = (fs::canonical(at.path("")) / "runs/sweeps/s/slurm").string();
  expect_part(dry.out, "# job_1=$(sbatch --parsable " + scripts + "/s-a.sbatch)\n");
  expect_part(dry.out,
              "# job_2=$(sbatch --parsable --dependency=afterany:$job_1 " + scripts + "/s-b.sbatch)\n");
  EXPECT_FALSE(fs::exists(at.path("runs"))) << "it writes nothing";
}

TEST_F(LongSweep, TwoAtOnceShareTheWork) {
  const pid_t other = at.start({"sweep", "run", "s.toml"});
  while (runs_begun() < 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const Finished here = run();
  const Finished there = at.wait(other);
  EXPECT_EQ(here.code, 0) << here.err;
  EXPECT_EQ(there.code, 0);
  EXPECT_EQ(csv(), expected);
  for (const fs::path& folder : folders())
    EXPECT_EQ(
        json::parse(at.read(fs::relative(folder / "run.json", at.path("")).string()))["sessions"].size(), 1u)
        << "trained twice: " << folder;
}

TEST_F(LongSweep, KilledAtAnyMomentItGoesOnToTheSameTable) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    const pid_t pid = at.start({"sweep", "run", "s.toml", "--jobs", "2"});
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 1500));
    if (const auto workers = children_of(pid); round % 2 && !workers.empty())
      kill(workers[random() % workers.size()], SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
    kill(pid, SIGKILL);
    at.wait(pid);
  }
  const Finished done = run({"--jobs", "2"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(csv(), expected);
}

TEST_F(LongSweep, AKilledWorkerCostsItsRunOnly) {
  const pid_t pid = at.start({"sweep", "run", "s.toml"});
  while (runs_begun() < 1 || children_of(pid).empty())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(children_of(pid).front(), SIGKILL);
  const Finished done = at.wait(pid);
  EXPECT_EQ(done.code, 1) << done.err;
  expect_part(done.err, "failed: its process ended: SIGKILL");
  expect_part(status(), "5 done, 1 failed");
  EXPECT_EQ(run().code, 0) << "what crashed is tried again";
  EXPECT_EQ(csv(), expected);
}

}  // namespace
}  // namespace orrery
