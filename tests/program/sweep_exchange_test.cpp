// Sweeps whose runs have files of each other, or lack the one that says what they are.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "small_sweep.h"

namespace orrery {
namespace {

class SweepExchange : public Sweep {
 protected:
  // Between the runs 0 and 3, which differ in train.weight_decay.
  void exchange(const std::vector<std::string>& names) {
    const fs::path a = folder_of(0), b = folder_of(3), between = at.path("between");
    for (const std::string& name : names) {
      fs::rename(a / name, between);
      fs::rename(b / name, a / name);
      fs::rename(between, b / name);
    }
  }
  // What the status says while they are exchanged.
  std::string said_of(const std::vector<std::string>& names) {
    exchange(names);
    std::string said = status();
    exchange(names);
    EXPECT_EQ(status(), "s: 6 runs: 6 done\n");
    return said;
  }
  std::string relative(const fs::path& path) { return fs::relative(path, at.path("")).string(); }
};

TEST_F(SweepExchange, FilesOfAnotherRunAreDamage) {
  ASSERT_EQ(run().code, 0);
  const std::vector<std::vector<std::string>> cases = {
      {"metrics.jsonl"},
      {"metrics.jsonl", "sweep.log"},
      {"checkpoints"},
      {"probes"},
      {"checkpoints", "probes"},
      {"metrics.jsonl", "checkpoints", "probes"},
      {"metrics.jsonl", "sweep.log", "checkpoints", "probes"}};
  for (const auto& names : cases) expect_part(said_of(names), "4 done, 2 damaged");
  expect_part(said_of({"checkpoints"}), "step_00000020.safetensors: it is of another run");
  expect_part(said_of({"metrics.jsonl", "sweep.log", "probes"}), "sweep.log: it is of another run");
  exchange({"metrics.jsonl", "sweep.log", "checkpoints", "probes"});
  EXPECT_EQ(at.orrery({"verify", "runs/sweeps/s"}).code, 1);
}

TEST_F(SweepExchange, WithoutCheckpointsToo) {
  at.write("s.toml", std::string("keep = \"none\"\n") + sweep);
  ASSERT_EQ(run().code, 0);
  for (const auto& names : std::vector<std::vector<std::string>>{
           {"probes"}, {"metrics.jsonl"}, {"metrics.jsonl", "sweep.log", "probes"}})
    expect_part(said_of(names), "4 done, 2 damaged");
}

TEST_F(SweepExchange, ACheckpointOfAnotherRunIsNeitherProbedNorResumed) {
  ASSERT_EQ(run().code, 0);
  exchange({"checkpoints/step_00000020.safetensors"});
  const std::string folder = relative(folder_of(0));
  const auto before = at.tree(folder);
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"probe", folder},
                                             {"show", "--check", folder},
                                             {"train", "--resume", folder, "--set", "train.steps=30"}}) {
    const Finished done = at.orrery(command);
    EXPECT_EQ(done.code, 1) << command[0] << "\n" << done.out << done.err;
    expect_part(done.out + done.err, "step_00000020.safetensors: it is of another run");
    EXPECT_EQ(at.tree(folder), before) << command[0];
  }
  EXPECT_EQ(at.orrery({"probe", folder, "--again"}).code, 0) << "on purpose";
}

TEST_F(SweepExchange, NothingIsDeletedWhereRunJsonIsMissing) {
  ASSERT_EQ(run().code, 0);
  const std::string expected = csv();
  for (const char* name : {"run.json", "metrics.jsonl"}) fs::remove(folder_of(0) / name);
  const Finished again = run();
  EXPECT_EQ(again.code, 0) << again.err;
  expect_part(again.err,
              "is damaged and made anew: it has checkpoints/step_00000000.safetensors, but no run.json");
  const fs::path aside = folder_of(0).string() + ".damaged";
  for (const char* name :
       {"checkpoints/step_00000020.safetensors", "probes/weight_structure/results.jsonl", "sweep.log"})
    EXPECT_TRUE(fs::exists(aside / name)) << name;
  EXPECT_EQ(csv(), expected);
}

TEST_F(SweepExchange, AFileWhereAFolderBelongsIsSaid) {
  ASSERT_EQ(run().code, 0);
  const fs::path folder = folder_of(0);
  fs::remove_all(folder);
  at.write(relative(folder), "a note");
  const Finished again = run();
  EXPECT_EQ(again.code, 0) << again.err;
  expect_part(again.err, "it is no folder; it is now");
  EXPECT_EQ(at.read(relative(folder) + ".damaged"), "a note");
  fs::remove_all(folder);
  fs::remove_all(at.path("runs/sweeps/s/locks"));
  at.write("runs/sweeps/s/locks", "");
  const Finished failed = run();
  EXPECT_EQ(failed.code, 1);
  expect_part(failed.err, "cannot make this folder");
  EXPECT_EQ(failed.err.find("sweep.log"), std::string::npos) << "there is none: " << failed.err;
}

TEST_F(SweepExchange, VerifyJudgesAFolderAsItIs) {
  ASSERT_EQ(run({"--out", "elsewhere"}).code, 0);
  const auto before = at.tree("elsewhere");
  const Finished done = at.orrery({"verify", "elsewhere"});
  EXPECT_EQ(done.code, 0) << done.err;
  expect_part(done.out, "share of trained >= 1");
  EXPECT_EQ(at.tree("elsewhere"), before);
  EXPECT_FALSE(fs::exists(at.path("runs"))) << "nothing is trained";
  const Finished of_run = at.orrery({"verify", relative(*fs::directory_iterator(at.path("elsewhere/runs")))});
  EXPECT_EQ(of_run.code, 2);
  expect_part(of_run.err, "is the folder of a run; this needs its config");
}

TEST_F(SweepExchange, APlanOfNothingIsSaidWithTheWayOut) {
  at.write("runs/sweeps/s/plan.json", "{}");
  const Finished done = at.orrery({"sweep", "status", "runs/sweeps/s"});
  EXPECT_EQ(done.code, 1);
  expect_part(done.err, "write it anew from the sweep's file: orrery sweep plan FILE --out runs/sweeps/s");
}

TEST_F(SweepExchange, MetricsWithOtherBytesInAsManyLinesAreSaidSo) {
  ASSERT_EQ(run().code, 0);
  std::string metrics = at.read(file_of(0, "metrics.jsonl"));
  metrics.erase(metrics.size() - 4, 2);
  at.write(file_of(0, "metrics.jsonl"), metrics);
  const Finished shown = at.orrery({"show", "--check", relative(folder_of(0))});
  expect_part(shown.out + shown.err, "it is not what it was when step 20 was saved");
}

class LongSweepElsewhere : public LongSweep {};

TEST_F(LongSweepElsewhere, TheWayOnNamesTheFolder) {
  const pid_t pid = at.start({"sweep", "run", "s.toml", "--out", "there"});
  while (!fs::exists(at.path("there/plan.json"))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(pid, SIGINT);
  const Finished stopped = at.wait(pid);
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  expect_part(stopped.err, "go on with: orrery sweep run s.toml --out there\n");
}

}  // namespace
}  // namespace orrery
