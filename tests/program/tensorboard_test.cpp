// Event files that trainings and exports leave, read back by other means.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <tuple>

#include "run_program.h"
#include "tests/support/event_reader.h"

namespace orrery {
namespace {

using nlohmann::json;
using testing::decode_event;
using testing::has_protoc;
using testing::no_protoc;
using testing::read_records;

constexpr const char* exported_config = R"(
[task]
name = "modular_arithmetic"
p = 7
train_fraction = 0.5
[model]
d_model = 8
n_heads = 2
d_head = 4
d_mlp = 16
[train]
steps = 40
eval_every = 10
[checkpoints]
every = 20
[[probe]]
name = "fourier_basis"
[[probe]]
name = "trig_loss"
[log]
tensorboard = true
)";

// What a reader of event files, such as TensorBoard, has in the end: by tag and step, with how often it came.
struct Board {
  std::map<std::pair<std::string, int64_t>, double> points;
  size_t twice = 0;

  void read(const std::string& event) {
    std::istringstream text(event);
    int64_t step = 0;
    std::string tag;
    for (std::string word; text >> word;) {
      std::string value;
      if (word == "step:") text >> step;
      if (word == "START") drop_from(step);
      if (word == "tag:") {
        text >> tag;
        tag = tag.substr(1, tag.size() - 2);
      }
      if (word == "simple_value:") {
        text >> value;
        if (!points.emplace(std::pair(tag, step), std::stod(value)).second) ++twice;
      }
    }
  }
  void drop_from(int64_t step) {
    std::erase_if(points, [&](const auto& point) { return point.first.second >= step; });
  }
};

class Tensorboard : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_protoc()) GTEST_SKIP() << no_protoc;
    at.write("small.toml", exported_config);
  }

  Finished train(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"train", "small.toml", "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return at.orrery(arguments);
  }

  // In the order of their names, as readers go through them.
  Board board(const std::string& folder) {
    Board seen;
    for (const auto& [name, bytes] : at.tree(folder)) {
      EXPECT_TRUE(name.starts_with("events.out.tfevents.")) << name;
      for (const std::string& record : read_records(bytes)) seen.read(decode_event(record));
    }
    return seen;
  }

  // Every number of metrics.jsonl and of the probes' results, as a float, and no other.
  void expect_all_of(const std::string& run, const Board& seen) {
    std::map<std::pair<std::string, int64_t>, double> expected;
    for (const std::string& line : at.lines(run + "/metrics.jsonl")) {
      const json row = json::parse(line);
      for (const auto& [name, value] : row.items())
        if (name != "step") expected[{name, row["step"]}] = value;
    }
    for (const char* label : {"fourier_basis", "trig_loss"})
      for (const std::string& line : at.lines(run + "/probes/" + label + "/results.jsonl")) {
        const json row = json::parse(line);
        for (const auto& [name, value] : row["probes"][label]["scalars"].items())
          expected[{std::string("probe/") + label + "/" + name, row["step"]}] = value;
      }
    EXPECT_GT(expected.size(), 30u);
    EXPECT_EQ(seen.points.size(), expected.size());
    EXPECT_EQ(seen.twice, 0u);
    for (const auto& [key, value] : expected) {
      const auto found = seen.points.find(key);
      ASSERT_NE(found, seen.points.end()) << key.first << " at " << key.second;
      EXPECT_NEAR(found->second, value, 1e-6 * std::abs(value)) << key.first << " at " << key.second;
    }
  }

  Workplace at;
};

TEST_F(Tensorboard, HasEveryNumberOfTheRun) {
  ASSERT_EQ(train("run").code, 0);
  expect_all_of("run", board("run/tensorboard"));
}

TEST_F(Tensorboard, ChangesNothingElse) {
  ASSERT_EQ(train("with").code, 0);
  ASSERT_EQ(train("without", {"--set", "log.tensorboard=false"}).code, 0);
  const auto files = [&](const std::string& run) {
    auto tree = at.tree(run);
    std::erase_if(
        tree, [](auto& file) { return file.first.starts_with("tensorboard/") || file.first == "run.json"; });
    return tree;
  };
  EXPECT_EQ(files("with"), files("without"));
  EXPECT_FALSE(std::filesystem::exists(at.path("without/tensorboard")));
}

TEST_F(Tensorboard, ResumedRunsHaveEveryPointOnce) {
  // Killed, then finished, then made longer: what waits for the last checkpoint is computed anew.
  const pid_t pid = at.start({"train", "small.toml", "--out", "run", "--set", "train.steps=100000"});
  while (at.lines("run/metrics.jsonl").size() < 8) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(pid, SIGKILL);
  at.wait(pid);
  // On to steps that have a checkpoint anyway: another one goes when the run is made longer.
  const auto last = json::parse(at.lines("run/metrics.jsonl").back())["step"].get<int64_t>() / 20 * 20;
  const auto resume = [&](int64_t steps) {
    return at.orrery({"train", "--resume", "run", "--set", "train.steps=" + std::to_string(steps)});
  };
  Finished done = resume(last + 40);
  ASSERT_EQ(done.code, 0) << done.err;
  expect_all_of("run", board("run/tensorboard"));
  done = resume(last + 80);
  ASSERT_EQ(done.code, 0) << done.err;
  expect_all_of("run", board("run/tensorboard"));
}

TEST_F(Tensorboard, WhatAKilledSessionHadNoTimeToSayIsSaidByTheNext) {
  ASSERT_EQ(train("run").code, 0);
  // Killed between a result and its event: the session's file lacks its last record.
  std::string name, bytes;
  for (const auto& file : at.tree("run/tensorboard"))
    if (!file.first.ends_with(".waiting")) std::tie(name, bytes) = file;
  const size_t framed = read_records(bytes).back().size() + 16;  // a length and two checksums
  at.write("run/tensorboard/" + name, bytes.substr(0, bytes.size() - framed));
  const Finished done = at.orrery({"train", "--resume", "run", "--set", "train.steps=80"});
  ASSERT_EQ(done.code, 0) << done.err;
  expect_all_of("run", board("run/tensorboard"));
}

TEST_F(Tensorboard, ExportHasTheSame) {
  ASSERT_EQ(train("run", {"--set", "log.tensorboard=false"}).code, 0);
  const Finished done = at.orrery({"export", "run", "--tensorboard"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("tensorboard --logdir run/tensorboard"), std::string::npos) << done.err;
  expect_all_of("run", board("run/tensorboard"));
  // Again, after a kill for example, replaces what an export has made; not what training has logged.
  const auto first = at.tree("run/tensorboard");
  ASSERT_EQ(at.orrery({"export", "run", "--tensorboard"}).code, 0);
  ASSERT_EQ(at.tree("run/tensorboard").size(), 1u);
  EXPECT_EQ(at.tree("run/tensorboard")[0].second, first[0].second);
  ASSERT_EQ(train("logged").code, 0);
  const Finished again = at.orrery({"export", "logged", "--tensorboard"});
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("there are event files here already"), std::string::npos) << again.err;
  ASSERT_EQ(at.orrery({"export", "run", "--tensorboard", "--out", "elsewhere"}).code, 0);
  EXPECT_EQ(at.tree("elsewhere")[0].second, at.tree("run/tensorboard")[0].second);  // the same bytes
  EXPECT_EQ(at.orrery({"export", "run", "--tensorboard", "--step", "20"}).code, 2);
  EXPECT_EQ(at.orrery({"export", "run"}).code, 2);
}

TEST_F(Tensorboard, TheKeyIsChecked) {
  at.write("small.toml", std::string(exported_config) + "tensorbord = true\n");
  const Finished done = train("run");
  EXPECT_EQ(done.code, 2);
  EXPECT_NE(done.err.find("small.toml:22:1: [log] has no key \"tensorbord\" (did you mean \"tensorboard\"?)"),
            std::string::npos)
      << done.err;
  at.write("small.toml",
           std::string(exported_config).replace(std::string(exported_config).find("= true"), 6, "= 3"));
  EXPECT_NE(train("run").err.find("log.tensorboard: expected a boolean, got 3"), std::string::npos);
}

}  // namespace
}  // namespace orrery
