// Whole trainings: what they leave on disk, and that stopping and going on changes nothing.
#include <gtest/gtest.h>

#include <signal.h>
#include <unistd.h>
#include <cstdint>
#include <cstring>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "run_program.h"

namespace orrery {
namespace {

using nlohmann::json;

constexpr const char* trained_config = R"(
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
steps = 400
eval_every = 10

[checkpoints]
every = 50
per_decade = 2

[[probe]]
name = "fourier_basis"

[[probe]]
name = "trig_loss"

[[probe]]
name = "excluded_loss"
rule = "logits"
reference = "self"
)";

class Train : public ::testing::Test {
 protected:
  void SetUp() override { at.write("small.toml", trained_config); }

  Finished train(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"train", "small.toml", "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return at.orrery(arguments);
  }

  // Starts a training and sends `signal` once metrics.jsonl has `lines` lines.
  Finished interrupt(const std::string& out, int signal, size_t lines, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"train", "small.toml", "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const pid_t pid = at.start(arguments);
    while (at.lines(out + "/metrics.jsonl").size() < lines)
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    kill(pid, signal);
    return at.wait(pid);
  }

  // Two runs are the same in every file but the account of their sessions.
  void expect_same(const std::string& a, const std::string& b) {
    auto first = at.tree(a), second = at.tree(b);
    ASSERT_EQ(first.size(), second.size());
    for (size_t i = 0; i < first.size(); ++i) {
      EXPECT_EQ(first[i].first, second[i].first);
      if (first[i].first == "run.json") {
        json left = json::parse(first[i].second), right = json::parse(second[i].second);
        for (const char* key : {"sessions", "sha256"}) {
          left.erase(key);
          right.erase(key);
        }
        EXPECT_EQ(left, right);
      } else {
        EXPECT_TRUE(first[i].second == second[i].second) << first[i].first << " differs";
      }
    }
  }

  Workplace at;
};

TEST_F(Train, LeavesARunThatOthersCanOpen) {
  const Finished done = train("run");
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out, "run\n");
  const auto lines = at.lines("run/metrics.jsonl");
  ASSERT_EQ(lines.size(), 41u);
  const json last = json::parse(lines.back());
  EXPECT_EQ(last["step"], 400);
  for (const char* name : {"train/loss", "test/loss", "train/accuracy", "test/accuracy", "weights/norm"})
    EXPECT_TRUE(last[name].is_number()) << name;
  EXPECT_GT(json::parse(lines[0])["train/loss"], 2 * last["train/loss"].get<double>());
  const json run = json::parse(at.read("run/run.json"));
  EXPECT_EQ(run["config"]["train"]["lr"], 1e-3);  // a default, written out
  EXPECT_EQ(run["config"]["task"]["p"], 11);
  EXPECT_EQ(run["n_train"], 60);
  EXPECT_EQ(run["sessions"][0]["ended"], "finished");
  EXPECT_EQ(run["plugins"].size(), 4u);
  // 0, 1, 3, 10, 32, 50, 100, 150, ..., 400, with 316 between.
  EXPECT_EQ(at.lines("run/probes/fourier_basis/results.jsonl").size(), 14u);
  for (const char* step : {"00000000", "00000001", "00000032", "00000316", "00000400"})
    EXPECT_TRUE(
        std::filesystem::exists(at.path(std::string("run/checkpoints/step_") + step + ".safetensors")))
        << step;
  EXPECT_NE(done.err.find("train accuracy"), std::string::npos);
  EXPECT_NE(done.err.find("orrery report run"), std::string::npos);
}

TEST_F(Train, SameSeedsSameBits) {
  ASSERT_EQ(train("a").code, 0);
  ASSERT_EQ(train("b").code, 0);
  expect_same("a", "b");
}

TEST_F(Train, EachSeedVariesItsOwnPart) {
  const std::vector<std::string> brief = {"--set", "train.steps=10", "--set", "train.batch_size=20"};
  const auto with = [&](const std::string& seed) {
    auto arguments = brief;
    arguments.insert(arguments.end(), {"--set", seed});
    return arguments;
  };
  ASSERT_EQ(train("base", brief).code, 0);
  ASSERT_EQ(train("init", with("seeds.init=1")).code, 0);
  ASSERT_EQ(train("data", with("seeds.data=1")).code, 0);
  ASSERT_EQ(train("batches", with("seeds.batches=1")).code, 0);
  const std::string first = "/checkpoints/step_00000000.safetensors",
                    last = "/checkpoints/step_00000010.safetensors";
  const auto weights = [&](const std::string& file) {  // what follows the header, which names the run
    const std::string content = at.read(file);
    uint64_t header = 0;
    std::memcpy(&header, content.data(), sizeof header);
    return content.substr(sizeof header + header);
  };
  EXPECT_NE(weights("base" + first), weights("init" + first));
  EXPECT_EQ(weights("base" + first), weights("data" + first));
  EXPECT_EQ(weights("base" + first), weights("batches" + first));
  EXPECT_EQ(at.lines("base/metrics.jsonl")[0], at.lines("batches/metrics.jsonl")[0]);
  EXPECT_NE(at.lines("base/metrics.jsonl")[0], at.lines("data/metrics.jsonl")[0]);
  EXPECT_NE(weights("base" + last), weights("batches" + last));
}

TEST_F(Train, InterruptedAndResumedIsTheSameRun) {
  ASSERT_EQ(train("whole").code, 0);
  const Finished stopped = interrupt("parts", SIGINT, 8);
  ASSERT_EQ(stopped.code, 130) << stopped.err;
  EXPECT_NE(stopped.err.find("orrery train --resume parts"), std::string::npos) << stopped.err;
  EXPECT_LT(at.lines("parts/metrics.jsonl").size(), 41u);
  const Finished resumed = at.orrery({"train", "--resume", "parts"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(json::parse(at.read("parts/run.json"))["sessions"].size(), 2u);
  expect_same("whole", "parts");
}

// There is nothing to resume: that is said, and how to go on.
TEST_F(Train, AFinishedRunSaysHowToGoOn) {
  ASSERT_EQ(train("run", {"--set", "train.steps=20"}).code, 0);
  const auto before = at.tree("run");
  const Finished again = at.orrery({"train", "--resume", "run"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find(
                "it has made all of its 20 steps; to go on: orrery train --resume run --set train.steps=40"),
            std::string::npos)
      << again.err;
  EXPECT_EQ(again.err.find("going on from"), std::string::npos) << again.err;
  EXPECT_EQ(at.tree("run"), before);

  const std::string holds = "train.stop_when=\"train/loss > 0\"";
  ASSERT_EQ(train("ended", {"--set", "train.steps=20", "--set", holds}).code, 0);
  const Finished ended = at.orrery({"train", "--resume", "ended"});
  EXPECT_NE(
      ended.err.find("as train.stop_when (train/loss > 0) asks; to go on: orrery train --resume ended --set "
                     "train.stop_when="),
      std::string::npos)
      << ended.err;
}

TEST_F(Train, InterruptedAndResumedInBatchesIsTheSameRun) {
  const std::vector<std::string> batches = {"--set", "train.batch_size=13"};
  ASSERT_EQ(train("whole", batches).code, 0);
  ASSERT_EQ(interrupt("parts", SIGTERM, 5, batches).code, 130);
  ASSERT_EQ(at.orrery({"train", "--resume", "parts"}).code, 0);
  expect_same("whole", "parts");
}

TEST_F(Train, InterruptedAndResumedWithDropoutIsTheSameRun) {
  const std::vector<std::string> dropout = {"--set", "train.dropout=0.1"};
  ASSERT_EQ(train("whole", dropout).code, 0);
  ASSERT_EQ(interrupt("parts", SIGTERM, 5, dropout).code, 130);
  ASSERT_EQ(at.orrery({"train", "--resume", "parts"}).code, 0);
  expect_same("whole", "parts");
}

TEST_F(Train, InterruptedAndResumedOnEndlessDataIsTheSameRun) {
  at.write("small.toml", R"(
[task]
name = "digit_addition"
n_digits = 2
n_test = 50
[model]
n_layers = 2
d_model = 16
n_heads = 2
d_head = 8
attn_only = true
[train]
steps = 400
eval_every = 10
batch_size = 16
)");
  ASSERT_EQ(train("whole").code, 0);
  ASSERT_EQ(interrupt("parts", SIGINT, 7).code, 130);
  ASSERT_EQ(at.orrery({"train", "--resume", "parts"}).code, 0);
  expect_same("whole", "parts");
  const json last = json::parse(at.lines("whole/metrics.jsonl").back());
  EXPECT_LT(last["test/loss"], json::parse(at.lines("whole/metrics.jsonl").front())["test/loss"]);
  double sum = 0;
  int groups = 0;
  for (const auto& [name, value] : last.items())
    if (name.starts_with("test/loss/")) sum += value.get<double>(), ++groups;
  EXPECT_EQ(groups, 3);  // each digit of the answer
  EXPECT_NEAR(last["test/loss"], sum / groups, 1e-9);
}

TEST_F(Train, KilledAndResumedIsTheSameRun) {
  ASSERT_EQ(train("whole").code, 0);
  ASSERT_EQ(interrupt("parts", SIGKILL, 17).code, 128 + SIGKILL);
  ASSERT_EQ(at.orrery({"train", "--resume", "parts"}).code, 0);
  expect_same("whole", "parts");
}

TEST_F(Train, KilledBeforeAllProbesWereAskedAndResumedIsTheSameRun) {
  ASSERT_EQ(train("whole").code, 0);
  ASSERT_EQ(train("parts", {"--set", "train.steps=200"}).code, 0);
  const std::string results = "parts/probes/excluded_loss/";
  std::string text = at.read(results + "results.jsonl");
  at.write(results + "results.jsonl", text.erase(text.rfind('\n', text.size() - 2) + 1));
  std::filesystem::remove(at.path(results + "step_00000200.safetensors"));
  ASSERT_EQ(at.orrery({"train", "--resume", "parts", "--set", "train.steps=400"}).code, 0);
  expect_same("whole", "parts");
}

TEST_F(Train, KilledBeforeItsSecondCheckpointAndResumedIsTheSameRun) {
  const std::vector<std::string> two = {"--set", "checkpoints.every=0", "--set", "checkpoints.per_decade=0"};
  ASSERT_EQ(train("whole", two).code, 0);
  ASSERT_EQ(interrupt("parts", SIGKILL, 2, two).code, 128 + SIGKILL);
  ASSERT_EQ(at.tree("parts/checkpoints").size(), 2u);  // of step 0: the weights, and what resuming needs
  ASSERT_EQ(at.orrery({"train", "--resume", "parts"}).code, 0);
  expect_same("whole", "parts");
}

TEST_F(Train, MoreStepsThanPlannedEqualsPlanningThem) {
  ASSERT_EQ(train("whole").code, 0);
  ASSERT_EQ(train("parts", {"--set", "train.steps=200"}).code, 0);
  ASSERT_EQ(at.orrery({"train", "--resume", "parts", "--set", "train.steps=400"}).code, 0);
  expect_same("whole", "parts");
}

TEST_F(Train, StopsWhenTheConditionHolds) {
  const Finished done = train("run", {"--set", "train.stop_when=\"train/loss < 1\""});
  ASSERT_EQ(done.code, 0) << done.err;
  const auto lines = at.lines("run/metrics.jsonl");
  EXPECT_LT(lines.size(), 41u);
  EXPECT_LT(json::parse(lines.back())["train/loss"], 1);
  EXPECT_GE(json::parse(lines[lines.size() - 2])["train/loss"], 1);
  EXPECT_EQ(json::parse(at.read("run/run.json"))["sessions"][0]["ended"], "condition");
}

TEST_F(Train, DivergenceEndsWithAMessageAndACheckpoint) {
  const Finished done = train("run", {"--set", "train.lr=1e30"});
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.err.find("the loss became NaN or infinite"), std::string::npos) << done.err;
  EXPECT_EQ(json::parse(at.read("run/run.json"))["sessions"][0]["ended"], "diverged");
  const int64_t step = json::parse(at.read("run/run.json"))["sessions"][0]["to"];
  char name[64];
  std::snprintf(name, sizeof name, "run/checkpoints/step_%08ld.safetensors", static_cast<long>(step));
  EXPECT_TRUE(std::filesystem::exists(at.path(name))) << name;
}

TEST_F(Train, ARunIsNotOverwritten) {
  ASSERT_EQ(train("run", {"--set", "train.steps=1"}).code, 0);
  const auto before = at.tree("run");
  const Finished again = train("run");
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("run"), std::string::npos);
  EXPECT_EQ(at.tree("run"), before);
}

TEST_F(Train, OnlineAndOfflineNumbersAgree) {
  ASSERT_EQ(train("run").code, 0);
  const auto online = at.tree("run");
  const Finished offline = at.orrery({"probe", "run", "--json", "--again"});
  ASSERT_EQ(offline.code, 0) << offline.err;
  EXPECT_EQ(at.tree("run"), online);  // written again, to the same bytes
  std::istringstream lines(offline.out);
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json object = json::parse(line);
    if (object.contains("of")) {  // the last one
      EXPECT_EQ(object["of"], "null");
      EXPECT_EQ(object["probes"].size(), 3u);
      break;
    }
    for (const char* label : {"fourier_basis", "trig_loss", "excluded_loss"}) {
      const json stored = json::parse(at.lines(std::string("run/probes/") + label + "/results.jsonl")[count]);
      EXPECT_EQ(stored["step"], object["step"]);
      EXPECT_EQ(stored["checkpoint"], object["checkpoint"]);
      EXPECT_EQ(stored["probes"][label]["scalars"], object["probes"][label]["scalars"]);
      EXPECT_EQ(stored["probes"][label]["findings"], object["probes"][label]["findings"]);
    }
  }
  EXPECT_EQ(count, 14u);
}

TEST_F(Train, ProbesOfTheCommandLineChangeNothing) {
  ASSERT_EQ(train("run", {"--set", "train.steps=100"}).code, 0);
  const auto before = at.tree("run");
  const Finished done = at.orrery(
      {"probe", "run", "--probe", "trig_loss:rule=given,frequencies=[1,3]", "--steps", "0,100", "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(at.tree("run"), before);
  std::istringstream lines(done.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["step"], 0);
  EXPECT_EQ(json::parse(line)["probes"]["trig_loss"]["findings"]["key_frequencies"]["frequencies"],
            json({1, 3}));
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["step"], 100);
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["of"], "null");
  EXPECT_FALSE(std::getline(lines, line));
}

// Slow enough to be sure, small enough for a test: memorises first, then generalises.
TEST_F(Train, ASmallNetworkGeneralises) {
  at.write("grok.toml", R"(
[task]
name = "modular_arithmetic"
p = 23
train_fraction = 0.6
[model]
d_model = 64
d_head = 16
d_mlp = 128
[train]
steps = 6000
eval_every = 50
stop_when = "test/accuracy >= 0.999 and test/loss < 0.01"
[checkpoints]
every = 500
[[probe]]
name = "fourier_basis"
[[probe]]
name = "trig_loss"
[[probe]]
name = "excluded_loss"
)");
  const Finished done = at.orrery({"train", "grok.toml", "--out", "grok"});
  ASSERT_EQ(done.code, 0) << done.err;
  const auto lines = at.lines("grok/metrics.jsonl");
  const json last = json::parse(lines.back());
  EXPECT_GE(last["test/accuracy"], 0.999);
  EXPECT_LT(last["test/loss"], 0.01);
  const auto probe = [&](const char* label, bool at_end) {
    const auto results = at.lines(std::string("grok/probes/") + label + "/results.jsonl");
    return json::parse(at_end ? results.back() : results.front())["probes"][label]["scalars"];
  };
  EXPECT_GE(probe("fourier_basis", true)["n_key_frequencies"], 1);
  EXPECT_GT(probe("fourier_basis", true)["logit_variance_explained"], 0.5);
  EXPECT_LT(probe("fourier_basis", false)["logit_variance_explained"], 0.1);
  EXPECT_LT(probe("trig_loss", true)["loss/test"], 0.1);
  EXPECT_GT(probe("trig_loss", false)["loss/test"], 2);
  EXPECT_GT(probe("excluded_loss", true)["loss/train"], 1);
}

}  // namespace
}  // namespace orrery
