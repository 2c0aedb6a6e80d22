// What `orrery show` and `orrery runs` say of runs as they are left behind by training, killing and damage.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "run_program.h"

namespace orrery {
namespace {

using nlohmann::json;

constexpr const char* shown_config = R"(
[task]
name = "modular_arithmetic"
p = 11
train_fraction = 0.5

[model]
d_model = 16
n_heads = 2
d_head = 8
d_mlp = 32

[train]
steps = 60
eval_every = 10

[checkpoints]
every = 20

[[probe]]
name = "fourier_basis"

[[probe]]
name = "phase_changes"
min_fall = 0.5
)";

void expect_holds(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "expected \"" << part << "\" in:\n" << text;
}

class Show : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("LC_ALL", "C.UTF-8", 1);
    at.write("small.toml", shown_config);
  }
  void TearDown() override {
    for (const char* name : {"LC_ALL", "COLUMNS"}) unsetenv(name);
  }

  void train(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"train", "small.toml", "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = at.orrery(arguments);
    ASSERT_EQ(done.code, 0) << done.err;
  }

  json shown(const std::string& run) {
    const Finished done = at.orrery({"show", run, "--json"});
    EXPECT_EQ(done.err, "");
    return json::parse(done.out);
  }

  Workplace at;
};

TEST_F(Show, TellsWhatARunIsAndHasCometo) {
  train("run");
  const auto before = at.tree("run");
  const Finished done = at.orrery({"show", "run"});
  EXPECT_EQ(done.code, 0);
  EXPECT_EQ(done.err, "");
  expect_holds(done.out, {"small: transformer on modular_arithmetic", "p=11 train_fraction=0.5",
                          "data 0, init 0, batches 0", "60, all that were asked for", "finished\n",
                          "4, steps 0 to 60", "metrics, 7 rows", "train/loss", "weights/norm",
                          "accuracy did not reach 0.99", "fourier_basis, 1.", "at 4 checkpoints",
                          "n_key_frequencies", "key frequencies", "phase_changes", "█", "▁"});
  EXPECT_EQ(done.out.find("\033["), std::string::npos) << "colour where stdout is no terminal";
  for (size_t begin = 0, end; (end = done.out.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = done.out.substr(begin, end - begin);
    EXPECT_LE(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }), 80) << line;
  }
  EXPECT_EQ(at.tree("run"), before);
}

TEST_F(Show, IsPlainAndAsWideAsAskedFor) {
  train("run");
  setenv("LC_ALL", "C", 1);
  const Finished plain = at.orrery({"show", "run"});
  EXPECT_TRUE(std::all_of(plain.out.begin(), plain.out.end(), [](unsigned char c) { return c < 128; }));
  expect_holds(plain.out, {"#"});
  const auto longest = [](const std::string& text) {
    size_t most = 0;
    for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
      most = std::max(most, end - begin);
    return most;
  };
  setenv("COLUMNS", "120", 1);
  const Finished wide = at.orrery({"show", "run"});
  EXPECT_GT(longest(wide.out), longest(plain.out));
  EXPECT_LE(longest(wide.out), 120u);
}

TEST_F(Show, JsonHasWhatTheFilesHave) {
  train("run");
  const json all = shown("run");
  const json run = json::parse(at.read("run/run.json"));
  EXPECT_EQ(all["config"], run["config"]);
  EXPECT_EQ(all["state"], "finished");
  EXPECT_EQ(all["ended"], "finished");
  EXPECT_EQ(all["step"], 60);
  EXPECT_EQ(all["steps"], 60);
  EXPECT_EQ(all["being_written"], false);
  EXPECT_EQ(all["resumable_from"], 60);
  EXPECT_EQ(all["n_parameters"], run["n_parameters"]);
  EXPECT_EQ(all["checkpoints"]["steps"], json({0, 20, 40, 60}));
  EXPECT_EQ(all["damage"], json::array());
  json changed = all["changed"];
  EXPECT_EQ(changed["task.p"], 11);
  EXPECT_EQ(changed["train.steps"], 60);
  EXPECT_FALSE(changed.contains("task.operation"));
  const json& loss = all["metrics"]["train/loss"];
  const auto lines = at.lines("run/metrics.jsonl");
  ASSERT_EQ(loss["values"].size(), lines.size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(loss["values"][i], json::parse(lines[i])["train/loss"]);
  EXPECT_EQ(loss["first"], loss["values"].front());
  EXPECT_EQ(loss["best"]["value"], loss["lowest"]["value"]);
  const json& probe = all["probes"]["fourier_basis"];
  const json last = json::parse(at.lines("run/probes/fourier_basis/results.jsonl").back());
  EXPECT_EQ(probe["last"]["step"], 60);
  EXPECT_EQ(probe["last"]["scalars"], last["probes"]["fourier_basis"]["scalars"]);
  EXPECT_EQ(probe["last"]["findings"], last["probes"]["fourier_basis"]["findings"]);
  EXPECT_EQ(probe["null"]["scalars"],
            json::parse(at.read("run/probes/fourier_basis/null.json"))["probes"]["fourier_basis"]["scalars"]);
  EXPECT_EQ(probe["n_results"], 4);
  EXPECT_EQ(probe["headlines"]["n_key_frequencies"]["steps"], json({0, 20, 40, 60}));
  EXPECT_TRUE(all["probes"]["phase_changes"]["conclusion"].is_object());
}

TEST_F(Show, SeesTrainingAndInterruption) {
  const pid_t pid = at.start({"train", "small.toml", "--out", "run", "--set", "train.steps=100000"});
  while (at.lines("run/metrics.jsonl").size() < 5) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  // A second program with files of its own for what it prints.
  const Workplace other;
  const std::string run = at.path("run").string();
  const Finished during = other.orrery({"show", run});
  const Finished list = other.orrery({"runs", run});
  kill(pid, SIGKILL);
  at.wait(pid);
  EXPECT_EQ(during.code, 0) << during.err;
  expect_holds(during.out, {"being trained now", "of 100,000"});
  expect_holds(list.out, {"training"});
  const Finished after = other.orrery({"show", run});
  EXPECT_EQ(after.code, 0);
  expect_holds(after.out, {"interrupted; go on from step ", "orrery train --resume"});
  EXPECT_EQ(json::parse(other.orrery({"show", run, "--json"}).out)["state"], "interrupted");
}

TEST_F(Show, OfADamagedRunShowsTheRestAndSaysWhere) {
  train("run");
  at.write("run/metrics.jsonl", at.read("run/metrics.jsonl") + "nonsense\n");
  at.write("run/checkpoints/step_00000020.safetensors", "");
  const Finished done = at.orrery({"show", "run"});
  EXPECT_EQ(done.code, 1);
  expect_holds(done.err, {"run/metrics.jsonl:8: not valid JSON", "step_00000020.safetensors: 0 bytes"});
  expect_holds(done.out, {"metrics, 7 rows", "3, steps 0 to 60"});
  at.write("run/run.json", "{");
  const Finished worse = at.orrery({"show", "run", "--json"});
  EXPECT_EQ(worse.code, 1);
  EXPECT_EQ(json::parse(worse.out)["damage"].size(), 3u);
  EXPECT_EQ(json::parse(worse.out)["state"], "damaged");
  EXPECT_EQ(at.orrery({"show", "run"}).code, 1);
  EXPECT_EQ(at.orrery({"show", "nowhere"}).code, 2);
}

TEST_F(Show, ShowsRunsWithoutProbesAndFromUnknownTasks) {
  at.write("small.toml", std::string(shown_config).substr(0, std::string(shown_config).find("[[probe]]")));
  train("run");
  EXPECT_EQ(shown("run")["probes"], json::object());
  json run = json::parse(at.read("run/run.json"));
  run["config"]["task"]["name"] = "gone";
  run.erase("sha256");  // as its message says of a file that is changed on purpose
  at.write("run/run.json", run.dump());
  const Finished done = at.orrery({"show", "run"});
  EXPECT_EQ(done.code, 0) << done.err;
  expect_holds(done.out, {"transformer on gone", "operation=add"});  // what is a default nobody knows
}

TEST_F(Show, RunsAreListedWithWhatDiffers) {
  train("runs/a");
  train("runs/b", {"--set", "train.lr=0.01", "--set", "seeds.init=3"});
  at.write("runs/broken/run.json", "nonsense");
  const Finished done = at.orrery({"runs"});
  EXPECT_EQ(done.code, 0);
  EXPECT_EQ(done.err, "");
  expect_holds(done.out, {"runs/a", "lr=0.001 seeds.init=0", "runs/b", "lr=0.01 seeds.init=3", "finished",
                          "damaged: runs/broken/run.json: not valid JSON"});
  std::vector<json> lines;
  std::istringstream text(at.orrery({"runs", "runs", "--json", "--sort", "test/loss"}).out);
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_LE(lines[0]["metrics"]["test/loss"], lines[1]["metrics"]["test/loss"]);
  EXPECT_EQ(lines[2]["state"], "damaged");
  EXPECT_EQ(lines[2]["metrics"], json::object());
  const std::string one = at.orrery({"runs", "runs", "--filter", "lr=0.01", "--json"}).out;
  EXPECT_EQ(json::parse(one)["run"], "runs/b");
  EXPECT_EQ(json::parse(one)["differs"], json::object());  // from nobody
  const json last = json::parse(at.lines("runs/b/metrics.jsonl").back());
  EXPECT_EQ(json::parse(one)["metrics"]["test/loss"], last["test/loss"]);
}

TEST_F(Show, RunsRefusesWhatItCannotDo) {
  const Finished nowhere = at.orrery({"runs"});
  EXPECT_EQ(nowhere.code, 0);
  expect_holds(nowhere.err, {"no folder runs here yet", "orrery train configs/quickstart.toml"});
  EXPECT_EQ(at.orrery({"runs", "elsewhere"}).code, 2);
  at.write("runs/note.txt", "");
  const Finished empty = at.orrery({"runs"});
  EXPECT_EQ(empty.code, 0);
  EXPECT_EQ(empty.out, "");
  expect_holds(empty.err, {"there are no runs here", "orrery runs DIR"});
  train("runs/a", {"--set", "train.steps=1"});
  EXPECT_EQ(at.orrery({"runs", "--sort", "test/los"}).code, 2);
  EXPECT_EQ(at.orrery({"runs", "--filter", "p"}).code, 2);
  EXPECT_EQ(at.orrery({"runs", "--filter", "q=3"}).code, 2);
  expect_holds(at.orrery({"runs", "--filter", "p=3"}).err, {"none of the 1 runs here"});
}

}  // namespace
}  // namespace orrery
