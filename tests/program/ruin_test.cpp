// Plugins that spoil what they share with the run, end the program, or do not come back: the run is as it
// would have been without them, and says who it was.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "run_program.h"

namespace orrery {
namespace {

using nlohmann::json;
using Steps = std::vector<int64_t>;

const std::string ruinous = ORRERY_LYING_PLUGINS "/ruinous_probe.so";

// Checkpoints at 0, 10, 20 and 30.
constexpr const char* ruined_config = R"([task]
name = "modular_arithmetic"
p = 7
[model]
d_model = 8
n_heads = 2
d_head = 4
d_mlp = 8
[train]
steps = 30
lr = 1e-2
eval_every = 10
[checkpoints]
every = 10
)";

std::string probe_entry(const std::string& fault, const std::string& more = "") {
  return "[[probe]]\nname = \"ruinous_probe\"\nlabel = \"" + fault + "\"\nfault = \"" + fault + "\"\n" + more;
}

class Ruin : public ::testing::Test {
 protected:
  Finished orrery(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--plugin", ruinous});
    return at.orrery(arguments);
  }
  Finished train(const std::string& probes, const std::string& out = "run") const {
    at.write("config.toml", ruined_config + probes);
    return orrery({"train", "config.toml", "--out", out});
  }
  Steps stored(const std::string& label) const {
    Steps steps;
    for (const std::string& line : at.lines("run/probes/" + label + "/results.jsonl"))
      steps.push_back(json::parse(line)["step"]);
    return steps;
  }
  static void expect_said(const Finished& done, const std::string& what) {
    EXPECT_NE(done.err.find(what), std::string::npos) << "expected \"" << what << "\" in: " << done.err;
  }
  static void expect_not_said(const Finished& done, const std::string& what) {
    EXPECT_EQ(done.err.find(what), std::string::npos) << done.err;
  }
  Workplace at;
};

const std::string place = "probe ruinous_probe 1.0.0, measure, step 10: ";

// All of them in one training, next to one that does nothing wrong.
TEST_F(Ruin, TheRunIsAsItWouldHaveBeen) {
  const std::vector<std::pair<std::string, std::string>> costly = {
      {"weight", "it changed the weight \"embed.W_E\""},
      {"weight_by_pointer", "it changed the weight \"embed.W_E\""},
      {"labels", "it changed the data train.labels"},
      {"inputs", "it changed the data train.labels"},
      {"cache", "it changed the activation \"hook_embed\""},
      {"logits", "it changed the logits"},
      {"hook_left", "it changed the hooks on \"hook_embed\""},
      {"hook_in_place", "a hook on \"hook_embed\" wrote into the activation in place"},
      {"hook_broadcast", "a hook on \"hook_embed\" returned ["},
      {"sparse", "tensor \"t\": it is sparse"},
      {"complex", "tensor \"t\": it is complex"},
      {"bytes", "scalar: the name \"a\\xff\" is not UTF-8"},
      {"newline", "scalar: the name \"a\\x0ab\" has control characters"}};
  const std::vector<std::pair<std::string, std::string>> undone = {
      {"threads", "it set the number of threads from 1 to 4"},
      {"dtype", "it set the default dtype to double"},
      {"folder", "it went from the folder "},
      {"cout", "it printed to standard output"},
      {"printf", "it printed to standard output"}};
  std::string probes = probe_entry("copied_weight");
  for (const auto& [fault, said] : costly) probes += probe_entry(fault);
  for (const auto& [fault, said] : undone) probes += probe_entry(fault);
  probes += probe_entry("none");
  const Finished done = train(probes);
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out, "run\n");  // what `train` itself prints
  for (const auto& [fault, said] : costly) {
    expect_said(done, place + said);
    EXPECT_EQ(stored(fault), (Steps{0, 20, 30})) << fault;
  }
  for (const auto& [fault, said] : undone) {
    expect_said(done, place + said);
    EXPECT_EQ(stored(fault), (Steps{0, 10, 20, 30})) << fault;
  }
  EXPECT_EQ(stored("copied_weight"), (Steps{0, 10, 20, 30}));

  ASSERT_EQ(train(probe_entry("none"), "quiet").code, 0);
  for (const char* file :
       {"checkpoints/step_00000030.safetensors", "metrics.jsonl", "probes/none/results.jsonl"})
    EXPECT_EQ(at.read(std::string("run/") + file), at.read(std::string("quiet/") + file)) << file;
  // What they print spoils no JSON.
  const Finished again = orrery({"probe", "run", "--again", "--json"});
  std::istringstream lines(again.out);
  int rows = 0;
  for (std::string line; std::getline(lines, line); ++rows) EXPECT_TRUE(json::accept(line)) << line;
  EXPECT_EQ(rows, 4);
  expect_said(again, "here I am");
  // And afterwards the run can be resumed.
  EXPECT_EQ(orrery({"train", "--resume", "run", "--set", "train.steps=40"}).code, 0);
}

// Two entries of one probe: which of them it was is only in the config.
TEST_F(Ruin, SaysWhichEntryOfTheConfigItWas) {
  const std::string second = "[[probe]]\nname = \"ruinous_probe\"\nlabel = \"second\"\nfault = \"weight\"\n";
  const Finished done = train(probe_entry("none") + second);
  EXPECT_EQ(done.code, 0) << done.err;
  expect_said(done, "warning: config.toml:19:1: " + place + "it changed the weight");
  expect_not_said(done, "config.toml:15:1");
  // The run knows the config, but not the file that it came from.
  expect_said(orrery({"probe", "run"}), "warning: " + place + "it changed the weight");
}

TEST_F(Ruin, EndingTheProgramIsNoSuccess) {
  for (const char* fault : {"exit", "quick_exit", "_exit", "_Exit"}) {
    std::filesystem::remove_all(at.path("run"));
    const Finished done = train(probe_entry(fault));
    EXPECT_EQ(done.code, 1) << fault << done.err;
    expect_said(done, "error: config.toml:15:1: " + place + "it ended the program");
    expect_said(done, "orrery train --resume run");
    const Finished probed = orrery({"probe", "run"});
    EXPECT_EQ(probed.code, 1) << fault;
    expect_said(probed, place + "it crashed: exit code 0");
  }
}

TEST_F(Ruin, AProbeThatHangsIsGivenUp) {
  const Finished done = train(probe_entry("hang", "timeout_s = 1\n"));
  EXPECT_EQ(done.code, 1) << done.err;
  expect_said(done,
              "error: config.toml:15:1: " + place + "it has not come back within 1 seconds (timeout_s)");
  expect_said(done, "orrery train --resume run");
  const Finished probed = orrery({"probe", "run", "--jobs", "2"});
  EXPECT_EQ(probed.code, 1);
  expect_said(probed, place + "it has not come back within 1 s (timeout_s)");
  EXPECT_EQ(stored("hang"), (Steps{0}));
}

TEST_F(Ruin, TheFirstCtrlCSaysWhatItWaitsFor) {
  at.write("config.toml", ruined_config + probe_entry("hang"));
  const pid_t pid = at.start({"train", "config.toml", "--out", "run", "--plugin", ruinous});
  const auto until = [&](const std::string& file, const std::string& text) {
    for (int i = 0; i < 600 && at.read(file).find(text) == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  };
  until("run/metrics.jsonl", "\"step\": 10");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  ::kill(pid, SIGINT);
  until("err", "Ctrl-C");
  const std::string said = at.read("err");
  ::kill(pid, SIGINT);
  const Finished done = at.wait(pid);
  EXPECT_NE(said.find("waiting for probe ruinous_probe 1.0.0, measure, step 10 to come back"),
            std::string::npos)
      << said;
  EXPECT_EQ(done.code, 128 + SIGINT);
}

TEST_F(Ruin, AStoppedWorkerGoesOn) {
  ASSERT_EQ(train("").code, 0);
  at.write("p.toml", probe_entry("stop") + probe_entry("stop_for_good") + probe_entry("none"));
  const Finished done = orrery({"probe", "run", "--pipeline", "p.toml"});
  EXPECT_EQ(done.code, 1) << done.err;
  EXPECT_EQ(stored("stop"), (Steps{0, 10, 20, 30}));
  EXPECT_EQ(stored("stop_for_good"), (Steps{0, 20, 30}));
  EXPECT_EQ(stored("none"), (Steps{0, 10, 20, 30}));
  expect_said(done, place + "it crashed: stopped again and again by SIGSTOP");
}

TEST_F(Ruin, NoConclusionIsDrawnFromAPartOfTheCheckpoints) {
  ASSERT_EQ(train("").code, 0);
  at.write("p.toml", probe_entry("none", "curves = [\"probe/none/mean_logit\", \"test/loss\"]\n"));
  const std::string conclusion = "run/probes/none/conclusion.json";
  const Finished last = orrery({"probe", "run", "--pipeline", "p.toml", "--steps", "last"});
  ASSERT_EQ(last.code, 0) << last.err;
  expect_said(last, "probe none: no conclusion, because none has not been measured at step 0");
  EXPECT_FALSE(std::filesystem::exists(at.path(conclusion)));
  const Finished printed = orrery(
      {"probe", "run", "--probe", "ruinous_probe:curves=[\"probe/ruinous_probe/*\"]", "--steps", "last"});
  EXPECT_EQ(printed.out.find("conclusions"), std::string::npos) << printed.out;
  expect_said(printed, "no conclusion");

  const Finished all = orrery({"probe", "run", "--pipeline", "p.toml"});
  ASSERT_EQ(all.code, 0) << all.err;
  expect_not_said(all, "no conclusion");
  const auto rows = [&] {
    return json::parse(at.read(conclusion))["probes"]["none"]["scalars"]["probe/none/mean_logit/rows"];
  };
  EXPECT_EQ(rows(), 4);
  const std::string before = at.read(conclusion);
  ASSERT_EQ(orrery({"probe", "run", "--pipeline", "p.toml", "--steps", "last", "--again"}).code, 0);
  EXPECT_EQ(at.read(conclusion), before);
}

TEST_F(Ruin, ARefusalOfTheModelComesBeforeStepZero) {
  const Finished done = train(probe_entry("none", "only_mlps = true\n"));
  EXPECT_EQ(done.code, 2);
  expect_said(done, "probe \"none\" cannot be used in this run: it knows nothing of attention");
  EXPECT_FALSE(std::filesystem::exists(at.path("run")));
}

// A copy of a plugin with other bytes, in `folder` of the workplace.
std::string altered(const Workplace& at, const std::string& file, const std::string& from,
                    const std::string& to) {
  std::string bytes = at.read(file);
  size_t changed = 0;
  for (size_t i = bytes.find(from); i != std::string::npos; i = bytes.find(from, i + 1), ++changed)
    bytes.replace(i, to.size(), to);
  EXPECT_GE(changed, 1u);
  const std::string name = "altered_" + std::to_string(changed) + std::to_string(to.back()) + ".so";
  at.write(name, bytes);
  return at.path(name).string();
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

TEST(OtherPlugins, ThanThoseOfTheRunAreNamed) {
  const Workplace at;
  const std::string task = ORRERY_MISTAKEN_TASK;
  at.write(
      "config.toml",
      "[task]\nname = \"mistaken_task\"\n[model]\nd_model = 4\nd_head = 4\nd_mlp = 4\n[train]\nsteps = 20\n"
      "[checkpoints]\nevery = 10\n[[probe]]\nname = \"ruinous_probe\"\n");
  const auto with = [&](std::vector<std::string> arguments, const std::string& t, const std::string& p) {
    arguments.insert(arguments.end(), {"--plugin", t, "--plugin", p});
    return at.orrery(arguments);
  };
  ASSERT_EQ(with({"train", "config.toml", "--out", "run"}, task, ruinous).code, 0);
  const json plugins = json::parse(at.read("run/run.json"))["plugins"];
  const Finished same = with({"probe", "run"}, task, ruinous);
  EXPECT_EQ(same.err.find("warning"), std::string::npos) << same.err;

  const std::string task_id = from_hex(plugins[0]["build"]), probe_id = from_hex(plugins[1]["build"]);
  ASSERT_GE(task_id.size(), 16u);
  const std::string other_task = altered(at, task, task_id, std::string(task_id.size(), 'x'));
  const std::string other_probe = altered(at, ruinous, probe_id, std::string(probe_id.size(), 'y'));
  const Finished rebuilt = with({"probe", "run"}, other_task, other_probe);
  EXPECT_EQ(rebuilt.code, 0) << rebuilt.err;
  for (const char* said :
       {"warning: task mistaken_task: the run was made with another build of version 0.2.0",
        "warning: probe ruinous_probe: 3 stored results are from another build of version 1.0.0",
        "3 of 3 results were there already"})
    EXPECT_NE(rebuilt.err.find(said), std::string::npos) << said << "\n" << rebuilt.err;
  const Finished resumed =
      with({"train", "--resume", "run", "--set", "train.steps=30"}, other_task, other_probe);
  EXPECT_NE(resumed.err.find("probe ruinous_probe: the run was made with another build"), std::string::npos)
      << resumed.err;

  // Another version of the task is other data, though they may look alike.
  const auto literal = [](const std::string& text) { return '\0' + text + '\0'; };
  const std::string version = altered(at, task, literal("0.2.0"), literal("0.2.9"));
  const Finished newer = with({"probe", "run"}, version, other_probe);
  EXPECT_NE(newer.err.find("task mistaken_task: the run was made with version 0.2.0, and this is 0.2.9"),
            std::string::npos)
      << newer.err;
  EXPECT_EQ(newer.err.find("were there already"), std::string::npos) << newer.err;
  const Finished older = with({"train", "--resume", "run", "--set", "train.steps=40"}, version, other_probe);
  EXPECT_NE(older.err.find("task mistaken_task: the run was made with version 0.2.0, and this is 0.2.9"),
            std::string::npos)
      << older.err;
}

}  // namespace
}  // namespace orrery
