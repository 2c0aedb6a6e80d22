// What a plugin's author is told: mistakes of a task before step 0, and crashes, which lose nothing.
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "run_program.h"

namespace orrery {
namespace {

std::string mistaken(bool own_model) {
  return std::string("[task]\nname = \"mistaken_task\"\n[train]\nsteps = 2\nbatch_size = 4\n[model]\n") +
         (own_model ? "kind = \"task\"\n" : "kind = \"transformer\"\nd_model = 4\nd_head = 4\nd_mlp = 4\n");
}

struct Mistake {
  const char* name;
  std::vector<std::string> said;
  bool endless = false, own_model = false;
  int code = 1;
};
void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

const Mistake mistakes[] = {
    {"labels_shape",
     {"split: the task's split() gives train.labels of shape [8] and dtype Long; expected [8, 1] and Long",
      "[batch, n_read], a column for each position in read_out", ".unsqueeze(1)"}},
    {"labels_dtype",
     {"gives train.labels of shape [8, 1] and dtype Int; expected [8, 1] and Long", ".to(torch::kInt64)"}},
    {"labels_undefined", {"the task's split() leaves train.labels undefined", "a tensor [batch, n_read]"}},
    {"label_range",
     {"split() gives train.labels from 1 to 2; expected 0 to 1", "d_vocab_out in spec() is 2; mend that"}},
    {"token_range", {"split() gives train.tokens from 1 to 2; expected 0 to 1", "d_vocab in spec() is 2"}},
    {"read_out", {"spec() has read_out [2]; expected ascending positions in 0..1"}},
    {"sample_range",
     {"sample, step 0: the task's sample() gives labels from -1 to 0; expected 0 to 1"},
     true},
    {"sample_size", {"sample, step 0: the task's sample() gives 5 examples; it was asked for 4"}, true},
    {"metric_name", {"the task's spec() has the metric \"loss/mine\", but \"loss\" is written by the host"}},
    {"metrics_count", {"metrics: the task's metrics() gives 1 numbers; spec() names 2: mean_logit, ones"}},
    {"metrics_throw", {"metrics: division by nothing"}},
    {"metrics_crash", {"metrics: it crashed: SIGILL (Illegal instruction)"}, false, false, 128 + SIGILL},
    {"metrics_write",
     {"metrics: it wrote into examples.labels, which it was given to read", "work on a copy"}},
    {"auxiliary_missing", {"the task's split() leaves train.auxiliary[\"a\"] undefined", "dtype Long"}},
    {"auxiliary_dtype",
     {"gives train.auxiliary[\"a\"] of shape [8] and dtype Float; expected [8] and Long",
      ".to(torch::kInt64)"}},
    {"auxiliary_shape",
     {"gives train.auxiliary[\"a\"] of shape [8, 3] and dtype Long; expected [8, 1] and Long",
      "[batch], [batch, n_read] or [batch, n_ctx]"}},
    {"auxiliary_unnamed",
     {"gives train.auxiliary[\"b\"], which its spec() does not name", "TaskSpec::auxiliary"}},
    {"weight_of_zero", {"gives train.weights with 0 at place 0; expected finite weights above 0", "scored"}},
    {"smoothed_hinge", {"spec() has label_smoothing 0.1 and the loss hinge, which has none"}},
    {"no_weights", {"make_model: the model has no weights", "add_weight(name, value)"}, false, true},
    {"logits_shape",
     {"forward() gives logits of shape [3, 2] and dtype Float; expected [3, 2, 2]",
      "[batch, n_ctx, d_vocab_out]"},
     false,
     true},
    {"detached", {"logits that do not depend on the weights", "add_weight() returned"}, false, true},
    {"other_read_out",
     {"fast_read_out() gives other logits than forward()", "leave fast_read_out() out"},
     false,
     true},
    {"exits", {"split: it ended the program: exit code 0", "throw an orrery::Error instead"}},
    {"exits_at_once", {"metrics: it ended the program", "throw an orrery::Error instead"}},
    {"exits_quickly", {"sample, step 0: it ended the program", "throw an orrery::Error instead"}, true},
    {"torch", {"forward: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"}, false, true},
    {"crash",
     {"split: it crashed: SIGILL (Illegal instruction)", "a function ended without its return statement",
      "to see where: gdb ", "--set task.mistake=crash"},
     false,
     false,
     128 + SIGILL},
};

// What a task's own model does wrong once the training has begun names the task and the call.
const struct {
  const char *mistake, *said;
  int code;
} wrong_models[] = {
    {"forward_throws", "error: task mistaken_task 0.2.0, forward: the table is worn out", 1},
    {"forward_crashes", "error: task mistaken_task 0.2.0, forward: it crashed: SIGILL", 128 + SIGILL},
    {"pass_throws", "error: task mistaken_task 0.2.0, its model's pass: the table is worn out", 1},
    {"penalty_throws", "error: task mistaken_task 0.2.0, penalty: the table is worn out", 1},
    {"penalty_crashes", "error: task mistaken_task 0.2.0, penalty: it crashed: SIGILL", 128 + SIGILL},
    {"destructor_crashes", "error: task mistaken_task 0.2.0, the destructor of its model: it crashed: SIGILL",
     128 + SIGILL}};

TEST(OwnModels, AreGuardedInEveryCall) {
  for (const auto& [mistake, said, code] : wrong_models) {
    const Workplace at;
    at.write("c.toml", mistaken(true));
    const Finished done =
        at.orrery({"train", "c.toml", "--out", "run", "--plugin", ORRERY_MISTAKEN_TASK, "--set",
                   "train.steps=200", "--set", std::string("task.mistake=") + mistake});
    EXPECT_EQ(done.code, code) << mistake << done.err;
    EXPECT_NE(done.err.find(said), std::string::npos) << mistake << ": " << done.err;
    EXPECT_TRUE(std::filesystem::exists(at.path("run/checkpoints/step_00000000.safetensors"))) << mistake;
  }
}

class MistakesOfTasks : public ::testing::TestWithParam<Mistake> {};

TEST_P(MistakesOfTasks, AreNamedBeforeAnythingIsLost) {
  const Workplace at;
  const Mistake& mistake = GetParam();
  at.write("c.toml", mistaken(mistake.own_model));
  const Finished done = at.orrery({"train", "c.toml", "--out", "run", "--plugin", ORRERY_MISTAKEN_TASK,
                                   "--set", std::string("task.mistake=") + mistake.name, "--set",
                                   std::string("task.endless=") + (mistake.endless ? "true" : "false")});
  EXPECT_EQ(done.code, mistake.code) << done.err;
  EXPECT_NE(done.err.find("error: task mistaken_task 0.2.0, "), std::string::npos) << done.err;
  for (const std::string& said : mistake.said)
    EXPECT_NE(done.err.find(said), std::string::npos) << "expected \"" << said << "\" in: " << done.err;
  EXPECT_EQ(done.err.find("Exception raised from"), std::string::npos) << done.err;
  EXPECT_EQ(done.err.find("frame #"), std::string::npos) << done.err;
  EXPECT_EQ(done.out, "");
}

INSTANTIATE_TEST_SUITE_P(Authors, MistakesOfTasks, ::testing::ValuesIn(mistakes),
                         [](const auto& info) { return info.param.name; });

TEST(MistakenTask, TrainsWithoutAMistake) {
  const Workplace at;
  for (const bool own_model : {true, false}) {
    at.write("c.toml", mistaken(own_model));
    const Finished done = at.orrery({"train", "c.toml", "--out", own_model ? "own" : "transformer",
                                     "--plugin", ORRERY_MISTAKEN_TASK, "--set", "task.endless=true"});
    EXPECT_EQ(done.code, 0) << done.err;
  }
}

// With weights, in minibatches of a finite and of an endless task; then ablated, which scores with the same
// loss.
TEST(LossesOfTasks, AreTrainedOnAndReported) {
  for (const std::string loss : {"smoothed", "hinge", "logistic", "mse_one_hot"})
    for (const char* endless : {"false", "true"}) {
      SCOPED_TRACE(loss + ", endless " + endless);
      const Workplace at;
      at.write("c.toml", mistaken(false));
      const Finished done =
          at.orrery({"train", "c.toml", "--out", "run", "--plugin", ORRERY_MISTAKEN_TASK, "--set",
                     "task.loss=" + loss, "--set", std::string("task.endless=") + endless, "--set",
                     "train.steps=20", "--set", "train.eval_every=20"});
      ASSERT_EQ(done.code, 0) << done.err;
      const auto first = nlohmann::json::parse(at.lines("run/metrics.jsonl").front());
      const auto last = nlohmann::json::parse(at.lines("run/metrics.jsonl").back());
      EXPECT_EQ(first["train/loss"], first["test/loss"]);  // the same examples
      EXPECT_NE(last["train/loss"], first["train/loss"]);
      const Finished ablated = at.orrery({"ablate", "run", "--plugin", ORRERY_MISTAKEN_TASK, "--json"});
      ASSERT_EQ(ablated.code, 0) << ablated.err;
      const auto plain = nlohmann::json::parse(ablated.out.substr(0, ablated.out.find('\n')));
      EXPECT_NEAR(plain["loss"].get<double>(), last["test/loss"].get<double>(), 1e-6) << plain;
    }
}

constexpr const char* crashing = R"([task]
name = "modular_arithmetic"
p = 5
[model]
d_model = 4
d_head = 4
d_mlp = 4
[train]
steps = 30
eval_every = 1
[checkpoints]
every = 10
[[probe]]
name = "fragile_probe"
fail = "measure"
step = 20
)";

struct Crash {
  const char* how;
  int code;
  std::vector<std::string> said;
};
void PrintTo(const Crash& crash, std::ostream* out) { *out << crash.how; }

const Crash crashes[] = {
    {"segv", 128 + SIGSEGV, {"it crashed: SIGSEGV (Segmentation fault)", "out of bounds"}},
    {"recursion", 128 + SIGSEGV, {"it crashed: SIGSEGV", "a function calls itself without end"}},
    {"abort", 128 + SIGABRT, {"it crashed: SIGABRT (Aborted)", "an assertion failed"}},
    {"uncaught",
     128 + SIGABRT,
     {"an exception could not be caught: mat1 and mat2 shapes",
      "a destructor, a noexcept function or a thread"}},
    {"leave", 1, {"it ended the program: exit code 3", "throw an orrery::Error instead"}},
};

// As if the author had mended the plugin.
struct Mended {
  Mended() { ::setenv("FRAGILE_PROBE_IS_MENDED", "1", 1); }
  ~Mended() { ::unsetenv("FRAGILE_PROBE_IS_MENDED"); }
};

class CrashesOfProbes : public ::testing::TestWithParam<Crash> {
 protected:
  Finished with_plugin(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--plugin", ORRERY_FRAGILE_PROBE});
    return at.orrery(arguments);
  }
  std::vector<int64_t> steps(const std::string& file) const {
    std::vector<int64_t> all;
    for (const std::string& line : at.lines(file)) all.push_back(nlohmann::json::parse(line)["step"]);
    return all;
  }
  Workplace at;
};

TEST_P(CrashesOfProbes, WhileTrainingLoseNothing) {
  at.write("c.toml", crashing);
  const std::string how = std::string("probe.fragile_probe.how=") + GetParam().how;
  const Finished done = with_plugin({"train", "c.toml", "--out", "run", "--set", how});
  EXPECT_EQ(done.code, GetParam().code) << done.err;
  std::vector<std::string> said = GetParam().said;
  said.insert(said.end(), {"error: c.toml:13:1: probe fragile_probe 0.1.0, measure, step 20: ",
                           "nothing of the run is lost", " probe run --steps 20 --plugin ",
                           "orrery train --resume run --plugin "});
  for (const std::string& part : said)
    EXPECT_NE(done.err.find(part), std::string::npos) << "expected \"" << part << "\" in: " << done.err;
  EXPECT_EQ(done.err.find("Exception raised from"), std::string::npos) << done.err;

  // With other parameters its results would be another probe's; that is said before anything is trained.
  const std::string before = at.read("run/metrics.jsonl");
  EXPECT_EQ(with_plugin({"train", "--resume", "run", "--set", "probe.fragile_probe.fail="}).code, 2);
  EXPECT_EQ(at.read("run/metrics.jsonl"), before);

  // As it says: mend the plugin and go on.
  const Mended mended;
  ASSERT_EQ(with_plugin({"train", "--resume", "run"}).code, 0);
  EXPECT_EQ(steps("run/probes/fragile_probe/results.jsonl"), (std::vector<int64_t>{0, 10, 20, 30}));
  ASSERT_EQ(with_plugin({"train", "c.toml", "--out", "whole", "--set", "probe.fragile_probe.fail="}).code, 0);
  EXPECT_EQ(at.read("run/metrics.jsonl"), at.read("whole/metrics.jsonl"));
}

TEST_P(CrashesOfProbes, InAWorkerAreToldOnceByItsParent) {
  at.write("c.toml", crashing);
  ASSERT_EQ(with_plugin({"train", "c.toml", "--out", "run", "--set", "probe.fragile_probe.fail="}).code, 0);
  at.write("p.toml",
           std::string("[[probe]]\nname = \"fragile_probe\"\nlabel = \"bad\"\nfail = \"measure\"\n") +
               "step = 20\nhow = \"" + GetParam().how + "\"\n");
  const Finished done = with_plugin({"probe", "run", "--pipeline", "p.toml"});
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(done.err.find("error:"), std::string::npos) << done.err;
  EXPECT_NE(done.err.find("warning: p.toml:1:1: probe fragile_probe 0.1.0, measure, step 20: it crashed: "),
            std::string::npos)
      << done.err;
  EXPECT_NE(done.err.find("to see where: gdb -ex 'set follow-fork-mode child'"), std::string::npos)
      << done.err;
  EXPECT_EQ(steps("run/probes/bad/results.jsonl"), (std::vector<int64_t>{0, 10, 30}));
}

INSTANTIATE_TEST_SUITE_P(Authors, CrashesOfProbes, ::testing::ValuesIn(crashes),
                         [](const auto& info) { return info.param.how; });

// A plugin that is being written in Orrery's own tree is opened without a trial.
TEST(StaticInitialisers, OfABuiltInPluginAreNamed) {
  const Workplace at;
  for (const char* folder : {"bin", "plugins"}) std::filesystem::create_directory(at.path(folder));
  std::filesystem::copy_file(ORRERY_PROGRAM "-core", at.path("bin/orrery-core"));
  std::filesystem::copy_file(std::filesystem::path(ORRERY_MISTAKEN_TASK).parent_path() / "static_throw.so",
                             at.path("plugins/static_throw.so"));
  const Finished done = at.run(at.path("bin/orrery-core"), {"plugins"});
  EXPECT_EQ(done.code, 128 + SIGABRT);
  for (const char* said :
       {"plugins/static_throw.so, its static initialisers: an exception could not be caught: no "
        "table.csv here",
        "in the constructor of the plugin's class", "to see where: gdb"})
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
}

}  // namespace
}  // namespace orrery
