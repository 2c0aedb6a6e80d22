// Sweeps whose runs share processes: the same files as with a process each, whatever happens to one of them.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

constexpr const char* base = R"(
[task]
name = "modular_arithmetic"
p = 11
train_fraction = 0.6
[model]
kind = "mlp"
d_embed = 8
d_mlp = 12
[train]
steps = 400
lr = 1e-2
warmup_steps = 0
eval_every = 10
[checkpoints]
every = 40
[[probe]]
name = "fragile_probe"
)";

constexpr const char* seeds = "base = \"base.toml\"\nseeds = 4\n[grid]\ntrain.weight_decay = [0.1, 1]\n";

class Replicas : public ::testing::Test {
 protected:
  void SetUp() override {
    at.write("base.toml", base);
    at.write("s.toml", seeds);
  }
  static std::vector<std::string> arguments(const std::string& replicas, std::vector<std::string> more = {}) {
    std::vector<std::string> all = {
        "sweep", "run", "s.toml", "--replicas", replicas, "--plugin", ORRERY_FRAGILE_PROBE};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Finished run(const std::string& replicas, std::vector<std::string> more = {}) {
    return at.orrery(arguments(replicas, std::move(more)));
  }
  std::string status() {
    return at.orrery({"sweep", "status", "s.toml", "--plugin", ORRERY_FRAGILE_PROBE}).out;
  }
  // Curves, checkpoints and results of all runs; run.json has times, sweep.log what else happened.
  std::vector<std::pair<std::string, std::string>> files(const std::string& sweep) {
    auto all = at.tree(sweep + "/runs");
    std::erase_if(all, [](const auto& file) {
      const std::string name = fs::path(file.first).filename().string();
      return name == "run.json" || name == "sweep.log";
    });
    return all;
  }
  size_t runs_begun() {
    size_t begun = 0;
    if (fs::exists(at.path("runs/sweeps/s/runs")))
      for (const auto& entry : fs::directory_iterator(at.path("runs/sweeps/s/runs")))
        begun += fs::exists(entry.path() / "metrics.jsonl");
    return begun;
  }
  void expect_same_as_alone() {
    ASSERT_EQ(run("1", {"--out", "alone"}).code, 0);
    const auto expected = files("alone");
    ASSERT_GT(expected.size(), 8u * 10u);
    EXPECT_EQ(files("runs/sweeps/s"), expected);
  }

  Workplace at;
};

void expect_text(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "expected \"" << part << "\" in:\n" << text;
}

std::vector<pid_t> workers_of(pid_t parent) {
  std::vector<pid_t> found;
  std::ifstream list("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
  for (pid_t child; list >> child;) found.push_back(child);
  return found;
}

TEST_F(Replicas, WriteTheSameFiles) {
  const Finished done = run("8");
  ASSERT_EQ(done.code, 0) << done.err;
  expect_text(done.err, "8 of 8 runs done");
  expect_same_as_alone();
}

TEST_F(Replicas, OneThatDivergesCostsItselfOnly) {
  at.write("s.toml", "base = \"base.toml\"\nseeds = 2\n[grid]\ntrain.lr = [0.01, 1e30, 0.02]\n");
  const Finished done = run("6");
  EXPECT_EQ(done.code, 1);
  expect_text(done.err, "failed: the loss became NaN or infinite after step");
  expect_text(status(), "4 done, 2 failed");
}

TEST_F(Replicas, OneWhoseProbeFailsCostsItsResultsOnly) {
  at.write("s.toml", std::string(seeds) + "probe.fragile_probe.fail = [\"\", \"measure\"]\n" +
                         "probe.fragile_probe.how = [\"throw\"]\n");
  EXPECT_EQ(run("16").code, 0);
  expect_text(status(), "16 runs: 16 done");
}

TEST_F(Replicas, OneThatCrashesCostsItselfOnly) {
  at.write("s.toml", std::string(seeds) + "probe.fragile_probe.step = [80, 80000]\n" +
                         "probe.fragile_probe.fail = [\"measure\"]\n");
  const Finished done = run("16");
  EXPECT_EQ(done.code, 1);
  expect_text(done.err, "8 of 16 runs done, 8 failed");
  expect_text(status(), "16 runs: 8 done, 8 failed");
}

TEST_F(Replicas, CtrlCStopsAllAndTheyGoOnAlone) {
  const pid_t pid = at.start(arguments("4"));
  while (runs_begun() < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(pid, SIGINT);
  const Finished stopped = at.wait(pid);
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  EXPECT_EQ(status().find("running"), std::string::npos) << status();
  ASSERT_EQ(run("1").code, 0);
  expect_same_as_alone();
}

TEST_F(Replicas, KilledAtAnyMomentTheyGoOn) {
  std::mt19937 random(2);
  for (int round = 0; round < 8; ++round) {
    const pid_t pid = at.start(arguments(round % 3 ? "4" : "1"));
    std::this_thread::sleep_for(std::chrono::milliseconds(500 + random() % 1500));
    if (const auto workers = workers_of(pid); !workers.empty()) kill(workers.front(), SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
    kill(pid, SIGKILL);
    at.wait(pid);
  }
  ASSERT_EQ(run("4").code, 0);
  expect_same_as_alone();
}

TEST_F(Replicas, AKilledWorkersRunsGoOnInProcessesOfTheirOwn) {
  const pid_t pid = at.start(arguments("8"));
  while (runs_begun() < 2 || workers_of(pid).empty())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(workers_of(pid).front(), SIGKILL);
  const Finished done = at.wait(pid);
  EXPECT_EQ(done.code, 0) << done.err;
  expect_same_as_alone();
}

TEST_F(Replicas, TheirNumberIsChecked) {
  for (const char* wrong : {"0", "many", "2.5", "9999"}) {
    const Finished refused = run(wrong);
    EXPECT_EQ(refused.code, 2) << wrong;
    expect_text(refused.err, std::string("--replicas ") + wrong + ": expected a number from 1 to 1024");
  }
  EXPECT_FALSE(fs::exists(at.path("runs")));
}

}  // namespace
}  // namespace orrery
