// Probes over stored checkpoints: nothing is computed twice, a crash costs one result, and there is a null
// and a conclusion beside the results.
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

// Checkpoints at 0, 10, ..., 50.
constexpr const char* pipeline_config = R"(
[task]
name = "modular_arithmetic"
p = 7
[model]
d_model = 8
n_heads = 2
d_head = 4
d_mlp = 8
[train]
steps = 50
eval_every = 10
[checkpoints]
every = 10
)";

std::vector<json> json_lines(const std::string& text) {
  std::vector<json> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
  return all;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

class Pipeline : public ::testing::Test {
 protected:
  // A run whose config has these probes.
  Finished train(const std::string& out, const std::string& probes, std::vector<std::string> more = {}) {
    at.write("config.toml", pipeline_config + probes);
    std::vector<std::string> arguments = {"train", "config.toml", "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return at.orrery(with_fragile(std::move(arguments)));
  }
  Finished probe(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "probe");
    return at.orrery(with_fragile(std::move(arguments)));
  }
  static std::vector<std::string> with_fragile(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--plugin", ORRERY_FRAGILE_PROBE});
    return arguments;
  }
  std::vector<int64_t> stored_steps(const std::string& label, const std::string& run = "run") {
    std::vector<int64_t> steps;
    for (const std::string& line : at.lines(run + "/probes/" + label + "/results.jsonl"))
      steps.push_back(json::parse(line)["step"]);
    return steps;
  }
  json aside(const std::string& label, const std::string& name) {
    return json::parse(at.read("run/probes/" + label + "/" + name + ".json"));
  }
  void expect_said(const Finished& done, const std::string& what) {
    EXPECT_NE(done.err.find(what), std::string::npos) << "expected \"" << what << "\" in: " << done.err;
  }

  Workplace at;
};

const std::vector<int64_t> all_steps = {0, 10, 20, 30, 40, 50};
constexpr const char* fragile_probe = "[[probe]]\nname = \"fragile_probe\"\n";
constexpr const char* waiting = R"(
[[probe]]
name = "fragile_probe"
label = "waiting"
fits = true
)";

TEST_F(Pipeline, StoresWhatIsNewAndKeepsWhatIsThere) {
  ASSERT_EQ(train("run", "").code, 0);
  at.write("p.toml",
           std::string("runs = [\"ru*\"]\nsteps = [0, 50, 20]\n") + fragile_probe + "log = \"log\"\n");
  const Finished first = probe({"--pipeline", "p.toml"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.err.find("were there already"), std::string::npos) << first.err;
  EXPECT_EQ(stored_steps("fragile_probe"), (std::vector<int64_t>{0, 20, 50}));
  EXPECT_EQ(at.lines("log").size(), 4u);  // three checkpoints and the null
  const auto before = at.tree("run");

  const Finished second = probe({"--pipeline", "p.toml"});
  ASSERT_EQ(second.code, 0) << second.err;
  expect_said(second, "3 of 3 results were there already");
  EXPECT_EQ(at.lines("log").size(), 4u);
  EXPECT_EQ(at.tree("run"), before);
  EXPECT_EQ(second.out, first.out);

  const Finished third = probe({"--pipeline", "p.toml", "--steps", "all", "--jobs", "2"});
  ASSERT_EQ(third.code, 0) << third.err;
  expect_said(third, "3 of 6 results were there already");
  EXPECT_EQ(at.lines("log").size(), 7u);
  EXPECT_EQ(stored_steps("fragile_probe"), all_steps);  // in order, though 10 came after 20

  const auto whole = at.tree("run");
  const Finished again = probe({"--pipeline", "p.toml", "--steps", "all", "--again"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(at.lines("log").size(), 14u);
  EXPECT_EQ(at.tree("run"), whole);
}

TEST_F(Pipeline, OnlineResultsAreThereAlready) {
  ASSERT_EQ(train("run", std::string(fragile_probe) + waiting + "log = \"log\"\n").code, 0);
  const auto before = at.tree("run");
  const size_t calls = at.lines("log").size();
  const Finished done = probe({"run", "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  expect_said(done, "12 of 12 results were there already");
  EXPECT_EQ(at.tree("run"), before);
  EXPECT_EQ(at.lines("log").size(), calls);
  EXPECT_EQ(json_lines(done.out).size(), 7u);
}

TEST_F(Pipeline, OnlineAndInWorkersTheBitsAreTheSame) {
  const std::string probes = std::string(fragile_probe) + waiting + "[[probe]]\nname = \"fourier_basis\"\n" +
                             "[[probe]]\nname = \"excluded_loss\"\nreference = \"step:20\"\n" +
                             "[[probe]]\nname = \"trig_loss\"\nreference = \"self\"\n";
  ASSERT_EQ(train("run", probes).code, 0);
  const auto online = at.tree("run");
  ASSERT_EQ(probe({"run", "--again", "--jobs", "3"}).code, 0);
  EXPECT_EQ(at.tree("run"), online);
  std::filesystem::remove_all(at.path("run/probes"));
  ASSERT_EQ(probe({"run", "--jobs", "2"}).code, 0);
  EXPECT_EQ(at.tree("run"), online);
}

TEST_F(Pipeline, ContentAndNotTheNameIsTheKey) {
  ASSERT_EQ(train("run", std::string(fragile_probe) + waiting).code, 0);
  ASSERT_EQ(train("other", "", {"--set", "seeds.init=1"}).code, 0);
  const auto replace = [&](const std::string& name) {
    std::filesystem::copy_file(at.path("other/checkpoints/" + name), at.path("run/checkpoints/" + name),
                               std::filesystem::copy_options::overwrite_existing);
  };
  const auto measured_at = [&](size_t row) -> json {
    return json::parse(at.lines("run/probes/waiting/results.jsonl")[row])["origin"]["of"];
  };
  const json at_20 = measured_at(2), at_30 = measured_at(3);
  // Another network under the name of a checkpoint: measured if that is what is asked for.
  replace("step_00000030.safetensors");
  const Finished refused = probe({"run"});
  EXPECT_EQ(refused.code, 1);
  expect_said(refused, "step_00000030.safetensors: it is of another run");
  expect_said(refused, "--again");
  ASSERT_EQ(probe({"run", "--again"}).code, 0);
  EXPECT_EQ(measured_at(2), at_20);
  EXPECT_NE(measured_at(3), at_30);
  // Another last network is another reference for all that wait for it.
  replace("step_00000050.safetensors");
  ASSERT_EQ(probe({"run", "--again"}).code, 0);
  const auto lines = at.lines("run/probes/waiting/results.jsonl");
  const json line = json::parse(lines[3]), last = json::parse(lines[5]);
  EXPECT_EQ(line["origin"]["reference"], "last");
  EXPECT_EQ(line["origin"]["reference_sha256"], last["origin"]["of"]);
}

TEST_F(Pipeline, AnotherQuestionNeedsAnotherLabel) {
  ASSERT_EQ(train("run", fragile_probe).code, 0);
  const auto before = at.tree("run");
  at.write("p.toml", std::string(fragile_probe) + "inputs = \"train\"\n");
  const Finished refused = probe({"run", "--pipeline", "p.toml"});
  EXPECT_EQ(refused.code, 2);
  expect_said(refused, "\"fragile_probe\" is the label of another probe here");
  EXPECT_EQ(at.tree("run"), before);
  at.write("p.toml", std::string(fragile_probe) + "inputs = \"train\"\nlabel = \"mine\"\n");
  ASSERT_EQ(probe({"run", "--pipeline", "p.toml"}).code, 0);
  EXPECT_EQ(stored_steps("mine"), all_steps);
  at.write("p.toml", std::string(fragile_probe) + "label = \"mine\"\n");
  EXPECT_EQ(probe({"run", "--pipeline", "p.toml"}).code, 2);
}

TEST_F(Pipeline, ACrashCostsOneResult) {
  ASSERT_EQ(train("run", "").code, 0);
  const struct {
    const char *how, *said;
  } ways[] = {{"segv", "it crashed: SIGSEGV (Segmentation fault)"},
              {"abort", "it crashed: SIGABRT (Aborted)"},
              {"kill", "it crashed: SIGKILL (Killed)"},
              {"exit", "it crashed: exit code 3"},
              {"throw", "it broke"}};
  for (const auto& [how, said] : ways) {
    const std::string label = std::string("bad_") + how, sound = std::string("good_") + how;
    at.write("p.toml", std::string(fragile_probe) + "label = \"" + label +
                           "\"\nfail = \"measure\"\nstep = 20\nhow = \"" + how + "\"\n" + fragile_probe +
                           "label = \"" + sound + "\"\n");
    const Finished done = probe({"run", "--pipeline", "p.toml", "--jobs", how[0] == 's' ? "2" : "1"});
    EXPECT_EQ(done.code, 1) << done.err;
    expect_said(done,
                std::string("warning: p.toml:1:1: probe fragile_probe 0.1.0, measure, step 20: ") + said);
    EXPECT_EQ(count(done.err, "warning:"), 1u) << done.err;
    EXPECT_EQ(stored_steps(label), (std::vector<int64_t>{0, 10, 30, 40, 50})) << how;
    EXPECT_EQ(stored_steps(sound), all_steps) << how;
    expect_said(probe({"run", "--pipeline", "p.toml"}), "11 of 12 results were there already");
  }
}

TEST_F(Pipeline, AProbeThatCrashesEverywhereLeavesTheOthers) {
  ASSERT_EQ(train("run", "").code, 0);
  at.write("p.toml", std::string(fragile_probe) + "label = \"bad\"\nfail = \"measure\"\n" + fragile_probe +
                         fragile_probe + "label = \"worse\"\nfail = \"measure\"\n");
  const Finished done = probe({"run", "--pipeline", "p.toml"});
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(count(done.err, "SIGSEGV"), 14u) << done.err;  // six checkpoints and the null, of both
  EXPECT_EQ(stored_steps("fragile_probe"), all_steps);
  EXPECT_FALSE(std::filesystem::exists(at.path("run/probes/bad/results.jsonl")));
}

TEST_F(Pipeline, ACrashOnTheReferenceIsSaidOnce) {
  ASSERT_EQ(train("run", "").code, 0);
  for (const char* how : {"segv", "throw"}) {
    at.write("p.toml", std::string(fragile_probe) + "fits = true\nlabel = \"bad_" + how +
                           "\"\nfail = \"fit\"\nhow = \"" + how + "\"\n" + fragile_probe);
    const Finished done = probe({"run", "--pipeline", "p.toml", "--jobs", "2", "--again"});
    EXPECT_EQ(done.code, 1);
    EXPECT_EQ(count(done.err, "warning:"), 1u) << done.err;
    expect_said(done, "probe fragile_probe 0.1.0, fit, ");
    EXPECT_EQ(stored_steps("fragile_probe"), all_steps);
  }
}

TEST_F(Pipeline, AnUnreadableCheckpointCostsItsOwnResults) {
  ASSERT_EQ(train("run", "").code, 0);
  std::filesystem::resize_file(at.path("run/checkpoints/step_00000020.safetensors"), 100);
  at.write("p.toml", std::string(fragile_probe) + fragile_probe + "label = \"other\"\n");
  const Finished done = probe({"run", "--pipeline", "p.toml"});
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(count(done.err, "warning:"), 1u) << done.err;
  expect_said(done, "step_00000020.safetensors");
  EXPECT_EQ(stored_steps("fragile_probe"), (std::vector<int64_t>{0, 10, 30, 40, 50}));
  EXPECT_EQ(stored_steps("other"), (std::vector<int64_t>{0, 10, 30, 40, 50}));
}

TEST_F(Pipeline, AnUnreadableReferenceCostsThoseThatWaitForIt) {
  ASSERT_EQ(train("run", "").code, 0);
  std::filesystem::resize_file(at.path("run/checkpoints/step_00000050.safetensors"), 100);
  at.write("p.toml", std::string(fragile_probe) + waiting);
  const Finished done = probe({"run", "--pipeline", "p.toml", "--steps", "0,10,20"});
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(count(done.err, "warning:"), 1u) << done.err;
  expect_said(done, "probe \"waiting\", its reference: ");
  EXPECT_EQ(stored_steps("fragile_probe"), (std::vector<int64_t>{0, 10, 20}));
}

TEST_F(Pipeline, WrongRequestsAreOneErrorAndChangeNothing) {
  ASSERT_EQ(train("run", "").code, 0);
  ASSERT_EQ(train("empty", "").code, 0);
  std::filesystem::remove_all(at.path("empty/checkpoints"));
  at.write("p.toml", fragile_probe);
  at.write("hook.toml",
           std::string(fragile_probe) + "inputs = \"train\"\nhook = \"blocks.0.mlp.hook_pots\"\n");
  at.write("none.toml", "runs = [\"nothing-*\"]\n" + std::string(fragile_probe));
  at.write("typo.toml", "step = \"last\"\n" + std::string(fragile_probe));
  const struct {
    std::vector<std::string> arguments;
    std::string said;
  } mistakes[] = {
      {{"--pipeline", "p.toml"}, "p.toml: it names no runs"},
      {{}, "give the directory of a run"},
      {{"run"}, "this run's config has no [[probe]]"},
      {{"empty", "--pipeline", "p.toml"}, "empty: the run has no checkpoints"},
      {{"run", "--pipeline", "hook.toml"}, "did you mean \"blocks.0.mlp.hook_post\"?"},
      {{"--pipeline", "none.toml"}, "nothing-*: no run matches this pattern"},
      {{"run", "--pipeline", "typo.toml"},
       "typo.toml:1:1: the pipeline has no key \"step\" (did you mean \"steps\"?)"},
      {{"run", "--pipeline", "p.toml", "--probe", "fragile_probe"}, "--pipeline cannot be used with --probe"},
      {{"run", "--pipeline", "p.toml", "--steps", "15"}, "there is no checkpoint of step 15"},
      {{"run", "--pipeline", "absent.toml"}, "absent.toml"},
  };
  const auto before = at.tree(".");
  for (const auto& [arguments, said] : mistakes) {
    const Finished done = probe(arguments);
    EXPECT_EQ(done.code, 2) << done.err;
    EXPECT_EQ(done.out, "");
    EXPECT_EQ(count(done.err, "error:"), 1u) << done.err;
    expect_said(done, said);
    std::filesystem::remove(at.path("out"));
    std::filesystem::remove(at.path("err"));
    auto after = at.tree(".");
    auto expected = before;
    std::erase_if(expected, [](auto& file) { return file.first == "out" || file.first == "err"; });
    EXPECT_EQ(after, expected);
  }
}

TEST_F(Pipeline, ARunThatCannotBeProbedDoesNotKeepOthersFromIt) {
  ASSERT_EQ(train("runs/a", "").code, 0);
  ASSERT_EQ(train("runs/b", "").code, 0);
  ASSERT_EQ(train("runs/c", "").code, 0);
  std::filesystem::remove_all(at.path("runs/b/checkpoints"));
  std::filesystem::create_directory(at.path("runs/verify"));
  at.write("p.toml", "runs = [\"runs/*\"]\n" + std::string(fragile_probe));
  const Finished done = probe({"--pipeline", "p.toml", "--json"});
  EXPECT_EQ(done.code, 2);
  EXPECT_EQ(count(done.err, "error:"), 1u) << done.err;
  expect_said(done, "runs/b: the run has no checkpoints");
  const auto lines = json_lines(done.out);
  ASSERT_EQ(lines.size(), 14u);
  EXPECT_EQ(lines[0]["run"], "runs/a");
  EXPECT_EQ(lines[13]["run"], "runs/c");
  EXPECT_EQ(stored_steps("fragile_probe", "runs/c"), all_steps);
}

TEST_F(Pipeline, AnExampleComesWithIt) {
  ASSERT_EQ(train("run", "", {"--set", "train.steps=10"}).code, 0);
  const Finished done =
      probe({"run", "--pipeline", ORRERY_SOURCE_DIR "/configs/pipelines/progress_measures.toml", "--steps",
             "last"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(stored_steps("trig_loss"), std::vector<int64_t>{10});
}

TEST_F(Pipeline, InterruptedItLeavesWholeResults) {
  ASSERT_EQ(train("run", "").code, 0);
  at.write("p.toml", std::string(fragile_probe) + "milliseconds = 300\n");
  const pid_t pid = at.start(with_fragile({"probe", "run", "--pipeline", "p.toml"}));
  while (at.lines("run/probes/fragile_probe/results.jsonl").size() < 2)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(pid, SIGINT);
  const Finished stopped = at.wait(pid);
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  const size_t there = stored_steps("fragile_probe").size();
  ASSERT_GE(there, 2u);
  ASSERT_LT(there, 6u);
  const Finished rest = probe({"run", "--pipeline", "p.toml"});
  EXPECT_EQ(rest.code, 0) << rest.err;
  expect_said(rest, std::to_string(there) + " of 6 results were there already");
  EXPECT_EQ(stored_steps("fragile_probe"), all_steps);
}

TEST_F(Pipeline, TheNullIsARandomNetworkAndChangesNothing) {
  const Finished trained = train("run", std::string(fragile_probe) + waiting);
  ASSERT_EQ(trained.code, 0) << trained.err;
  ASSERT_EQ(train("plain", "").code, 0);
  EXPECT_EQ(at.read("run/checkpoints/step_00000050.safetensors"),
            at.read("plain/checkpoints/step_00000050.safetensors"));
  const json null = aside("fragile_probe", "null");
  EXPECT_EQ(null["origin"]["of"], "random weights, seed -1");
  const double sum = null["probes"]["fragile_probe"]["scalars"]["sum"];
  for (const std::string& line : at.lines("run/probes/fragile_probe/results.jsonl"))
    EXPECT_NE(json::parse(line)["probes"]["fragile_probe"]["scalars"]["sum"], sum);
  // One that has a reference was fitted to it, not to the random network.
  const json last = json::parse(at.lines("run/probes/waiting/results.jsonl").back());
  const json scalars = aside("waiting", "null")["probes"]["waiting"]["scalars"];
  EXPECT_EQ(scalars["sum"], sum);
  EXPECT_EQ(scalars["reference"], last["probes"]["waiting"]["scalars"]["sum"]);
  expect_said(trained, " (null ");

  const auto lines = json_lines(probe({"run", "--json"}).out);
  ASSERT_EQ(lines.size(), 7u);
  EXPECT_EQ(lines[6]["of"], "null");
  EXPECT_EQ(lines[6]["probes"]["fragile_probe"]["scalars"]["sum"], sum);
  const std::string table = probe({"run"}).out;
  EXPECT_NE(table.find("\n    null  "), std::string::npos) << table;
  EXPECT_NE(table.find(" (null "), std::string::npos) << table;
}

TEST_F(Pipeline, ConclusionsAreDrawnFromTheCurves) {
  const std::string concluding = std::string(fragile_probe) +
                                 "[[probe]]\nname = \"fragile_probe\"\nlabel = \"judge\"\n" +
                                 "curves = [\"test/loss\", \"probe/fragile_probe/*\"]\n";
  const Finished trained = train("run", concluding);
  ASSERT_EQ(trained.code, 0) << trained.err;
  const json conclusion = aside("judge", "conclusion");
  const json& scalars = conclusion["probes"]["judge"]["scalars"];
  EXPECT_EQ(scalars["test/loss/rows"], 6);
  EXPECT_EQ(scalars["test/loss/last"], json::parse(at.lines("run/metrics.jsonl").back())["test/loss"]);
  EXPECT_EQ(scalars["probe/fragile_probe/sum/last"],
            json::parse(at.lines("run/probes/fragile_probe/results.jsonl")
                            .back())["probes"]["fragile_probe"]["scalars"]["sum"]);
  expect_said(trained, "test/loss/last");
  EXPECT_FALSE(std::filesystem::exists(at.path("run/probes/fragile_probe/conclusion.json")));

  // Drawn again, afterwards, it is the same; unless the curves are others.
  const auto before = at.tree("run");
  std::filesystem::remove(at.path("run/probes/judge/conclusion.json"));
  const Finished done = probe({"run", "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(at.tree("run"), before);
  EXPECT_EQ(json_lines(done.out).back()["of"], "conclusion");
  EXPECT_EQ(json_lines(done.out).back()["probes"]["judge"]["scalars"], scalars);
  at.write("run/metrics.jsonl", at.read("run/metrics.jsonl") + "{\"step\": 60, \"test/loss\": 0.5}\n");
  ASSERT_EQ(probe({"run"}).code, 0);
  EXPECT_EQ(aside("judge", "conclusion")["probes"]["judge"]["scalars"]["test/loss/last"], 0.5);

  // Results that are printed only are curves, too.
  const Finished printed =
      probe({"run", "--probe", "fragile_probe:label=mine,curves=[\"probe/mine/sum\"]", "--json"});
  ASSERT_EQ(printed.code, 0) << printed.err;
  EXPECT_EQ(json_lines(printed.out).back()["probes"]["mine"]["scalars"]["probe/mine/sum/rows"], 6);
}

TEST_F(Pipeline, ACurveThatIsNotThereIsNamed) {
  const Finished trained = train("run", std::string(fragile_probe) + "curves = [\"tset/loss\"]\n");
  EXPECT_EQ(trained.code, 1);
  expect_said(trained,
              "concludes from \"tset/loss\", but the run has no such curve (did you mean \"test/loss\"?)");
  EXPECT_EQ(stored_steps("fragile_probe"), all_steps);
  EXPECT_FALSE(std::filesystem::exists(at.path("run/probes/fragile_probe/conclusion.json")));
  const Finished done = probe({"run"});
  EXPECT_EQ(done.code, 1);
  expect_said(done, "did you mean \"test/loss\"?");
  at.write("p.toml",
           std::string(fragile_probe) + "label = \"bad\"\nfail = \"conclude\"\ncurves = [\"test/*\"]\n");
  const Finished crashed = probe({"run", "--pipeline", "p.toml"});
  EXPECT_EQ(crashed.code, 1);
  expect_said(crashed, "conclude, the curves of the run: it crashed: SIGSEGV");
  EXPECT_EQ(stored_steps("bad"), all_steps);
}

}  // namespace
}  // namespace orrery
