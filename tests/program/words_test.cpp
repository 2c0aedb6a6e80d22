// What users of the command line read: JSON for scripts, summaries, words where something is missing or
// fails.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "run_program.h"
#include "sdk/files/tensors.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* words_config = R"([task]
name = "modular_arithmetic"
p = 7
[model]
d_model = 8
d_head = 4
n_heads = 2
d_mlp = 8
[train]
steps = 20
eval_every = 10
[checkpoints]
every = 10
[[probe]]
name = "fourier_basis"
[[expect]]
metric = "train/loss"
bound = "< 100"
source = "this test"
)";

class Words : public ::testing::Test {
 protected:
  void SetUp() override { at.write("small.toml", words_config); }
  Finished train(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"train", "small.toml", "--out", "run"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return at.orrery(arguments);
  }
  Finished fragile(const std::vector<std::string>& settings) const {
    at.write("small.toml",
             std::string(words_config) + "[[probe]]\nname = \"fragile_probe\"\nhow = \"throw\"\n");
    std::vector<std::string> more = {"--plugin", ORRERY_FRAGILE_PROBE};
    for (const std::string& setting : settings) {
      more.emplace_back("--set");
      more.push_back("probe.fragile_probe." + setting);
    }
    return train(more);
  }
  Workplace at;
};

#define EXPECT_SAID(text, said) EXPECT_NE((text).find(said), std::string::npos) << (text)

json only_line(const Finished& done) {
  EXPECT_EQ(std::count(done.out.begin(), done.out.end(), '\n'), 1) << done.out << done.err;
  return json::parse(done.out);
}

TEST_F(Words, TrainPrintsTheRunForScripts) {
  const Finished done = train();
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out, "run\n");
  const Finished more = at.orrery({"train", "--resume", "run", "--set", "train.steps=30", "--json"});
  const json line = only_line(more);
  EXPECT_EQ(line["run"], "run");
  EXPECT_EQ(line["ended"], "finished");
  EXPECT_EQ(line["step"], 30);
  EXPECT_TRUE(line["metrics"]["test/loss"].is_number());
  EXPECT_TRUE(line["probes"]["fourier_basis"]["n_key_frequencies"].is_number());
  EXPECT_EQ(line["failed_probes"], json::array());
  for (const json& session : json::parse(at.read("run/run.json"))["sessions"])
    EXPECT_FALSE(session["cpu_capability"].get<std::string>().empty()) << session;
}

TEST_F(Words, VerifyExportAndImportPrintJson) {
  const json verdict = only_line(at.orrery({"verify", "small.toml", "--runs", "verified", "--json"}));
  EXPECT_EQ(verdict["run"], "verified/small");
  EXPECT_EQ(verdict["metric"], "train/loss");
  EXPECT_EQ(verdict["passed"], true);
  const json exported =
      only_line(at.orrery({"export", "verified/small", "--step", "first", "--out", "x.pth", "--json"}));
  EXPECT_EQ(exported["step"], 0);
  EXPECT_EQ(exported["file"], "x.pth");
  const json imported = only_line(
      at.orrery({"import", "x.pth", "--config", "small.toml", "--out", "imported", "--step", "4", "--json"}));
  EXPECT_EQ(imported["run"], "imported");
  EXPECT_EQ(imported["step"], 4);
  EXPECT_TRUE(imported["metrics"]["test/loss"].is_number());
}

TEST_F(Words, NoCommandAndHelpGiveHelp) {
  const std::string help = at.orrery({"--help"}).out;
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{{}, {"help"}}) {
    const Finished done = at.orrery(arguments);
    EXPECT_EQ(done.code, 0);
    EXPECT_EQ(done.out, help);
    const Finished core = at.run(ORRERY_PROGRAM "-core", arguments);
    EXPECT_EQ(core.code, 0);
    EXPECT_EQ(core.out, help);
  }
  EXPECT_EQ(at.orrery({"help", "train"}).out, at.orrery({"train", "--help"}).out);
  EXPECT_EQ(at.run(ORRERY_PROGRAM "-core", {"help", "train"}).out, at.orrery({"train", "--help"}).out);
  const Finished wrong = at.orrery({"help", "trian"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_SAID(wrong.err, "did you mean \"train\"?");
}

TEST_F(Words, TheLauncherAnswersHelpWithoutBuilding) {
  setenv("ORRERY_BUILD", at.path("nothing").c_str(), 1);
  const std::string help = at.orrery({"--help"}).out, of_train = at.orrery({"train", "--help"}).out;
  EXPECT_EQ(at.run(ORRERY_SOURCE_DIR "/orrery", {}).out, help);
  EXPECT_EQ(at.run(ORRERY_SOURCE_DIR "/orrery", {"help"}).out, help);
  EXPECT_EQ(at.run(ORRERY_SOURCE_DIR "/orrery", {"help", "train"}).out, of_train);
  unsetenv("ORRERY_BUILD");
  EXPECT_FALSE(fs::exists(at.path("nothing")));
}

TEST_F(Words, DescribeKnowsTheConfig) {
  const Finished train_keys = at.orrery({"describe", "train"});
  EXPECT_EQ(train_keys.code, 0) << train_keys.err;
  for (const char* said : {"[train]", "weight_decay", "learning rate after the warm-up", "loss_dtype"})
    EXPECT_SAID(train_keys.out, said);
  for (const char* table :
       {"checkpoints", "transformer", "mlp", "expect", "probe", "pipeline", "model", "task"})
    EXPECT_EQ(at.orrery({"describe", table}).code, 0) << table;
  const auto all = json::parse(at.orrery({"describe", "config", "--json"}).out);
  EXPECT_EQ(all[0]["table"], "config");
  const Finished wrong = at.orrery({"describe", "chekpoints"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_SAID(wrong.err, "did you mean \"checkpoints\"?");
}

// docs/config.md: an introduction, a line that ends it, and what `orrery describe config --markdown` prints.
TEST_F(Words, TheConfigIsDocumented) {
  const fs::path page = ORRERY_SOURCE_DIR "/docs/config.md";
  const std::string printed = at.orrery({"describe", "config", "--markdown"}).out,
                    end = "<!-- generated -->\n\n";
  std::ifstream stream(page, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  ASSERT_NE(text.find(end), std::string::npos);
  const std::string wanted = text.substr(0, text.find(end)) + end + printed;
  if (std::getenv("ORRERY_UPDATE_HELP"))
    std::ofstream(page, std::ios::binary) << wanted;
  else
    EXPECT_EQ(text, wanted)
        << "write it anew: ORRERY_UPDATE_HELP=1 build/release/tests/program/integration_tests "
           "--gtest_filter=Words.TheConfigIsDocumented";
}

TEST_F(Words, AccuracyAndLossAreOfTheSameStep) {
  const Finished done = train();
  const auto lines = at.lines("run/metrics.jsonl");
  const json last = json::parse(lines.back());
  double best = 0;
  for (const std::string& line : lines)
    best = std::max(best, json::parse(line)["test/accuracy"].get<double>());
  const double accuracy = last["test/accuracy"];
  char text[64];
  std::snprintf(text, sizeof text, "in the end %.2f %%, loss ", std::floor(1e4 * accuracy) / 100);
  EXPECT_SAID(done.err, std::string("test accuracy           ") + text);
  EXPECT_EQ(done.err.find("at best") != std::string::npos, best > accuracy) << done.err;
}

TEST_F(Words, AnEmptyTestSetIsSaid) {
  const Finished done = train({"--set", "task.train_fraction=1.0"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_SAID(done.err, "49 training and no test examples");
  EXPECT_SAID(done.err, "test accuracy           unknown: there are no test examples");
  EXPECT_EQ(done.err.find("nan"), std::string::npos) << done.err;

  const auto said = [&](const std::vector<std::string>& arguments, const std::string& words) {
    const Finished seen = at.orrery(arguments);
    EXPECT_EQ(seen.code, 0) << seen.err;
    EXPECT_SAID(seen.out, words);
    EXPECT_EQ(seen.out.find("nan"), std::string::npos) << seen.out;
  };
  said({"show", "run"}, "there are no test examples");
  said({"runs", "run"}, "none");
  fs::copy(at.path("run"), at.path("twin"), fs::copy_options::recursive);
  said({"compare", "run", "twin"}, "no test examples");
}

TEST_F(Words, EndlessTasksHaveEndlessExamples) {
  at.write(
      "endless.toml",
      "[task]\nname = \"repeated_subsequence\"\n[model]\nd_model = 8\nd_head = 4\nn_heads = 1\nd_mlp = 8\n"
      "[train]\nbatch_size = 8\nsteps = 2\n");
  const Finished done = at.orrery({"train", "endless.toml", "--out", "run"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_SAID(done.err, "endless training and ");
  EXPECT_SAID(at.orrery({"show", "run"}).out, "endless training");
  ASSERT_EQ(at.orrery({"train", "small.toml", "--out", "finite"}).code, 0);
  EXPECT_EQ(at.read("finite/run.json").find("endless"), std::string::npos);
}

TEST_F(Words, TheLastLineOfProgressIsTheLastStep) {
  const Finished done = train();
  const size_t at_last = done.err.rfind("20/20 "), summary = done.err.find("small after 20 steps");
  ASSERT_NE(at_last, std::string::npos) << done.err;
  EXPECT_LT(at_last, summary);
  EXPECT_EQ(done.err.find("20/20 "), at_last) << done.err;  // once
}

TEST_F(Words, ADivergedRunNamesGoodWeightsAndRepeatsNoStep) {
  const Finished done = train({"--set", "train.lr=1e30", "--set", "checkpoints.every=1", "--set",
                               "train.eval_every=1", "--set", "train.warmup_steps=0"});
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(done.out, "run\n");
  EXPECT_SAID(done.err, "became NaN or infinite");
  const size_t begin = done.err.find("run/checkpoints/step_");
  ASSERT_NE(begin, std::string::npos) << done.err;
  const std::string good = done.err.substr(begin, done.err.find(';', begin) - begin);
  ASSERT_TRUE(fs::exists(at.path(good))) << good;
  for (const auto& [name, tensor] : read_tensors(at.path(good)).tensors)
    EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name << " of " << good;
  std::set<int64_t> steps;
  for (const std::string& line : at.lines("run/metrics.jsonl"))
    EXPECT_TRUE(steps.insert(json::parse(line)["step"].get<int64_t>()).second) << line;
}

TEST_F(Words, AFailingProbeIsInTheSummaryAndTheExitCode) {
  const Finished everywhere = fragile({"fail=measure"});
  EXPECT_EQ(everywhere.code, 1) << everywhere.err;
  EXPECT_SAID(
      everywhere.err.substr(everywhere.err.find("small after")),
      "fragile_probe           failed at 3 of 3 checkpoints and on random weights; the first error: ");
  EXPECT_EQ(json::parse(at.read("run/run.json"))["sessions"][0]["ended"], "finished");
  fs::remove_all(at.path("run"));
  const Finished once = fragile({"fail=measure", "step=10", "how=throw_at_length"});
  EXPECT_EQ(once.code, 0) << once.err;
  EXPECT_SAID(once.err.substr(once.err.find("small after")),
              "failed at 1 of 3 checkpoints; the first error: ");
  EXPECT_LT(once.err.size(), 20'000u);  // of an error of 10 MB
  fs::remove_all(at.path("run"));
  const Finished conclusion = fragile({"fail=conclude", "curves=[\"train/loss\"]"});
  EXPECT_EQ(conclusion.code, 1) << conclusion.err;
  EXPECT_SAID(conclusion.err, "failed in its conclusion; the first error: ");
}

TEST_F(Words, AReferenceThatNeverCameCostsOnlyItsProbe) {
  const Finished done = fragile({"fits=true", "reference=grokked"});
  EXPECT_EQ(done.code, 1) << done.err;
  EXPECT_SAID(done.err, "it never reaches 99 % test accuracy");
  EXPECT_SAID(done.err, "small after 20 steps");
}

TEST_F(Words, AMissingPluginIsNamedWithItsPlace) {
  fs::create_directories(at.path("mine"));
  fs::copy_file(ORRERY_FRAGILE_PROBE, at.path("mine/probe.so"));
  at.write("small.toml", std::string(words_config) + "[[probe]]\nname = \"fragile_probe\"\n");
  ASSERT_EQ(train({"--plugin", "mine/probe.so"}).code, 0);
  const std::string file = fs::canonical(at.path("mine/probe.so")).string();
  EXPECT_EQ(json::parse(at.read("run/run.json"))["plugins"].back()["file"], file);
  setenv("ORRERY_PLUGIN_PATH", at.path("absent").c_str(), 1);
  const Finished done = at.orrery({"probe", "run"});
  unsetenv("ORRERY_PLUGIN_PATH");
  EXPECT_EQ(done.code, 2);
  EXPECT_SAID(done.err, "no probe \"fragile_probe\"");
  EXPECT_SAID(done.err, "when the run was made, it was probe 0.1.0 in " + file);
  EXPECT_SAID(done.err, "--plugin " + file);
  EXPECT_SAID(done.err, "ORRERY_PLUGIN_PATH");
  EXPECT_SAID(done.err, at.path("absent").string() + ": this folder of plugins cannot be listed");
}

TEST_F(Words, WrongRequestsEndWithTwo) {
  ASSERT_EQ(train().code, 0);
  const auto before = at.tree("run");
  const std::vector<std::pair<std::vector<std::string>, std::string>> requests = {
      {{"ablate", "run", "--hook", "nope"}, "no hook point matches \"nope\""},
      {{"patch", "run", "--from-step", "0", "--hook", "nope"}, "no hook point matches \"nope\""},
      {{"ablate", "run", "--direction", "nope", "--at", "blocks.0.hook_resid_post"}, "--direction nope"},
      {{"ablate", "run", "--step", "-5"}, "expected first, last, grokked or a step"},
      {{"train", "--resume", "run", "--set", "task.p=5"}, "task.p is 7 in this run, and cannot become 5"},
      {{"train", "--resume", "run", "--set", "model.d_mlp=16"},
       "model.d_mlp is 8 in this run, and cannot become 16"}};
  for (const auto& [request, said] : requests) {
    const Finished done = at.orrery(request);
    EXPECT_EQ(done.code, 2) << done.err;
    EXPECT_SAID(done.err, said);
  }
  EXPECT_EQ(at.tree("run"), before);
}

TEST_F(Words, StepsHaveNames) {
  ASSERT_EQ(train().code, 0);
  for (const char* step : {"first", "last"}) {
    EXPECT_EQ(at.orrery({"ablate", "run", "--step", step}).code, 0) << step;
    EXPECT_EQ(at.orrery({"probe", "run", "--steps", step}).code, 0) << step;
  }
  EXPECT_EQ(at.orrery({"patch", "run", "--from-step", "first"}).code, 0);
  for (const std::vector<std::string>& request :
       std::vector<std::vector<std::string>>{{"ablate", "run", "--step", "grokked"},
                                             {"probe", "run", "--steps", "0,grokked"},
                                             {"patch", "run", "--from-step", "grokked"},
                                             {"export", "run", "--step", "grokked", "--out", "x.pth"}}) {
    const Finished done = at.orrery(request);
    EXPECT_EQ(done.code, 2);
    EXPECT_SAID(done.err, "it never reaches 99 % test accuracy");
  }
}

TEST_F(Words, WhatComesFromElsewhereReachesNoTerminal) {
  if (!has_terminals()) GTEST_SKIP() << "no pseudo-terminals here";
  ASSERT_EQ(train().code, 0);
  const std::string name = "run\033]0;owned\a\033[31m";
  fs::rename(at.path("run"), at.path(name));
  for (const std::vector<std::string>& request : std::vector<std::vector<std::string>>{
           {"show", name}, {"runs", "."}, {"ablate", name, "--hook", "\033[2Jx"}}) {
    const Finished piped = at.orrery(request);
    EXPECT_EQ((piped.out + piped.err).find('\033'), std::string::npos) << request[0];
    const std::string seen = at.on_terminal(80, request).out;
    EXPECT_EQ(seen.find("\033]"), std::string::npos) << request[0];
    EXPECT_EQ(seen.find("\033[31m\033"), std::string::npos) << request[0];
    EXPECT_EQ(seen.find("\033[2Jx"), std::string::npos) << request[0];
    EXPECT_SAID(seen, "\\x1b") << request[0];
  }
}

TEST_F(Words, AFullStdoutIsAFailure) {
  struct stat about {};
  if (stat("/dev/full", &about) != 0) GTEST_SKIP() << "there is no /dev/full here";
  ASSERT_EQ(train().code, 0);
  for (const char* request :
       {"plugins --json", "show run --json", "runs .", "describe train", "train --help"}) {
    const Finished done =
        at.run("/bin/sh", {"-c", std::string(ORRERY_PROGRAM " ") + request + " > /dev/full"});
    EXPECT_EQ(done.code, 1) << request;
    EXPECT_SAID(done.err, "cannot write to stdout") << request;
  }
}

// The width of a line on a terminal: without its escape sequences, in characters.
size_t width_of(const std::string& line) {
  size_t width = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\033')
      while (i < line.size() && !std::isalpha(static_cast<unsigned char>(line[i]))) ++i;
    else if (line[i] != '\r' && (line[i] & 0xc0) != 0x80)
      ++width;
  }
  return width;
}

TEST_F(Words, NothingWrapsAt80Columns) {
  if (!has_terminals()) GTEST_SKIP() << "no pseudo-terminals here";
  std::string many = words_config;
  for (const char* probe : {"trig_loss", "excluded_loss", "weight_structure", "neuron_waves"})
    many += std::string("[[probe]]\nname = \"") + probe + "\"\n";
  at.write("small.toml", many);
  ASSERT_EQ(at.orrery({"train", "small.toml", "--out", "runs/a_run_with_a_rather_long_name"}).code, 0);
  ASSERT_EQ(at.orrery({"train", "small.toml", "--out", "runs/another_run_with_a_long_name", "--set",
                       "train.weight_decay=0.25", "--set", "seeds.init=3"})
                .code,
            0);
  const std::string one = "runs/a_run_with_a_rather_long_name", other = "runs/another_run_with_a_long_name";
  for (const std::vector<std::string>& request :
       std::vector<std::vector<std::string>>{{"runs"},
                                             {"probe", one},
                                             {"compare", one, other},
                                             {"plugins"},
                                             {"describe", "config"},
                                             {"describe", "fourier_basis"},
                                             {"ablate", one},
                                             {"show", one}}) {
    setenv("COLUMNS", "80", 1);
    std::string text = at.orrery(request).out;
    unsetenv("COLUMNS");
    text += at.on_terminal(80, request).out;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      // A line of progress is drawn over itself.
      if (const size_t drawn = line.rfind("\033[2K"); drawn != std::string::npos) line.erase(0, drawn);
      EXPECT_LE(width_of(line), 80u) << request[0] << ": " << line;
    }
    for (const std::string& run : {one, other})
      if (request[0] == "runs") {
        EXPECT_SAID(text, run.substr(5));
      }
  }
}

}  // namespace
}  // namespace orrery
