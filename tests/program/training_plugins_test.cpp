// Losses, updates and models of plugins in a training, a resumed one and a sweep, and what is refused. The
// plugins are those of `orrery new` (tests/plugins/template), and some that lie (tests/plugins/bad).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "markdown.h"
#include "run_program.h"

namespace orrery {
namespace {

using nlohmann::json;

const std::string lies = ORRERY_LYING_PLUGINS;

class TrainingPlugins : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("ORRERY_PLUGIN_PATH", ORRERY_TEMPLATE_DIR "/plugins", 1); }
  static void TearDownTestSuite() { unsetenv("ORRERY_PLUGIN_PATH"); }
  TrainingPlugins() { at.write("c.toml", source_file("plugins/guide/training.toml")); }

  Finished train(const std::string& out, const std::vector<std::string>& set) const {
    std::vector<std::string> arguments = {"train", "c.toml", "--out", out, "--set", "train.steps=20"};
    for (const std::string& each : set) arguments.insert(arguments.end(), {"--set", each});
    return at.orrery(arguments);
  }
  json config_of(const std::string& run) const { return json::parse(at.read(run + "/run.json"))["config"]; }

  Workplace at;
};

void expect_said(const Finished& done, const std::string& part) {
  EXPECT_EQ(done.code, 2) << done.err;
  EXPECT_NE(done.err.find(part), std::string::npos) << "expected \"" << part << "\" in: " << done.err;
}

TEST_F(TrainingPlugins, AreNamedInTheRun) {
  const Finished done = train("run", {});
  ASSERT_EQ(done.code, 0) << done.err;
  std::set<std::string> named;
  const json about = json::parse(at.read("run/run.json"));
  for (const json& plugin : about["plugins"])
    named.insert(plugin["kind"].get<std::string>() + " " + plugin["name"].get<std::string>() + " " +
                 plugin["version"].get<std::string>());
  for (const char* each : {"model bag_of_tokens 1.0.0", "loss hard_examples 1.0.0",
                           "update grokfast_ema 1.0.0", "update sign_descent 1.0.0"})
    EXPECT_EQ(named.count(each), 1u) << each;
  EXPECT_EQ(named.size(), 5u);  // and the task
}

TEST_F(TrainingPlugins, ResumeToTheSameBits) {
  const std::vector<std::string> set = {"train.lr_schedule=constant", "train.eval_every=10",
                                        "checkpoints.every=10"};
  ASSERT_EQ(train("whole", set).code, 0);
  auto half = set;
  half.push_back("train.steps=10");
  ASSERT_EQ(train("parts", half).code, 0);
  const Finished resumed = at.orrery({"train", "--resume", "parts", "--set", "train.steps=20"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(at.tree("parts/checkpoints"), at.tree("whole/checkpoints"));
  EXPECT_EQ(at.read("parts/metrics.jsonl"), at.read("whole/metrics.jsonl"));
  // What the updates remember is there to be lost.
  EXPECT_NE(at.read("whole/checkpoints/step_00000020.state.safetensors").find("update/sign_descent/"),
            std::string::npos);
}

TEST_F(TrainingPlugins, OfARunCannotBeExchanged) {
  ASSERT_EQ(train("run", {}).code, 0);
  for (const char* other : {"train.update.sign_descent.beta=0.5", "train.loss.gamma=2", "model.d_mlp=64"}) {
    const Finished done = at.orrery({"train", "--resume", "run", "--set", "train.steps=30", "--set", other});
    expect_said(done, "it would be another experiment");
  }
}

TEST_F(TrainingPlugins, MayBeMissingWhereARunIsOnlyLookedAt) {
  const std::string model = "model={kind='transformer', d_model=8, n_heads=2, d_head=4, d_mlp=8}";
  const Finished done = train("run", {model, "train.update.sign_descent.weights=[\"blocks.*\"]"});
  ASSERT_EQ(done.code, 0) << done.err;
  TearDownTestSuite();
  const Finished probed = at.orrery({"probe", "run", "--probe", "correct_logit", "--steps", "last"});
  const Finished ablated = at.orrery({"ablate", "run"});
  const Finished resumed = at.orrery({"train", "--resume", "run", "--set", "train.steps=30"});
  SetUpTestSuite();
  EXPECT_EQ(probed.code, 0) << probed.err;
  EXPECT_EQ(ablated.code, 0) << ablated.err;
  expect_said(resumed, "when the run was made, it was ");
}

TEST_F(TrainingPlugins, HaveKeysThatSetFinds) {
  const Finished done =
      train("run", {"train.update.sign_descent.beta=0.5", "train.loss.gamma=3", "model.d_mlp=32"});
  ASSERT_EQ(done.code, 0) << done.err;
  const json config = config_of("run");
  EXPECT_EQ(config["train"]["update"][1]["beta"], 0.5);
  EXPECT_EQ(config["train"]["update"][0]["lamb"], 0.5);
  EXPECT_EQ(config["train"]["loss"]["gamma"], 3.0);
  EXPECT_EQ(config["model"]["d_mlp"], 32);
  expect_said(train("no", {"train.update.sign_descent.bta=0.5"}), "did you mean \"beta\"?");
  expect_said(train("no", {"train.update.sign_descend.beta=0.5"}), "sign_descent");
  expect_said(train("no", {"train.loss.gamma=-1"}), "expected a real >= 0, got -1");
}

TEST_F(TrainingPlugins, AreRefusedInAnotherOrderWithTheirLine) {
  at.write(
      "c.toml",
      "[task]\nname = \"modular_arithmetic\"\np = 5\n[train]\n[[train.update]]\nname = \"sign_descent\"\n"
      "[[train.update]]\nname = \"grokfast_ema\"\n");
  const Finished done = train("run", {});
  expect_said(done,
              "c.toml:7:1: train.update: \"grokfast_ema\" changes gradients, so it cannot come after "
              "\"sign_descent\", which moves weights along their gradients");
  EXPECT_NE(done.err.find("move its [[train.update]] up"), std::string::npos) << done.err;
}

TEST_F(TrainingPlugins, ThatThereAreNotAreRefusedWithTheNearest) {
  expect_said(train("run", {"train.loss=hard_example"}), "no loss \"hard_example\" (did you mean");
  expect_said(train("run", {"train.loss=grokfast_ema"}), "there is an update of that name");
  expect_said(train("run", {"train.update=[{name='sign_descend'}]"}),
              "no update \"sign_descend\" (did you mean \"sign_descent\"?)");
  expect_said(train("run", {"train.update=[{name='trig_loss'}]"}), "there is a probe of that name");
  expect_said(train("run", {"model={kind='bag_of_token'}"}),
              "there is no model of kind \"bag_of_token\" (did you mean \"bag_of_tokens\"?)");
}

// What would be passed over is refused.
TEST_F(TrainingPlugins, AreNotPassedOver) {
  const std::string own = "train.update=[{name='adamw', weights=['embed.*']}]";
  expect_said(train("own", {own}), "\"adamw\" moves all weights that no other optimiser has");
  expect_said(train("two", {"train.update=[{name='adamw'}, {name='sgd'}]"}), "are both the framework's");
  expect_said(train("left", {"train.update=[{name='sign_descent'}, {name='adamw'}]"}),
              "\"adamw\" has no weight left");
  expect_said(train("end", {"train.lr_schedule=constant", "train.lr_end=0.5"}),
              "train.lr_end is for lr_schedule");
  expect_said(train("never", {"train.intervene=[{at=['*'], from_step=20}]"}), "it would never act");
  EXPECT_EQ(at.orrery({"new", "update", "adamw"}).code, 2);
}

TEST_F(TrainingPlugins, MakeRunsThatDifferInThem) {
  ASSERT_EQ(train("runs/task", {"train.loss=task"}).code, 0);
  ASSERT_EQ(train("runs/hard", {"train.loss=hard_examples"}).code, 0);
  const Finished done = at.orrery({"runs", "runs", "--json"});
  EXPECT_NE(done.out.find("\"train.loss.name\":\"task\""), std::string::npos) << done.out;
  EXPECT_NE(done.out.find("\"train.loss.name\":\"hard_examples\""), std::string::npos) << done.out;
}

TEST_F(TrainingPlugins, CanBeSweptOver) {
  at.write("s.toml",
           "base = \"c.toml\"\nseeds = 1\n[set]\ntrain.steps = 5\n[grid]\n"
           "train.update.sign_descent.beta = [0.5, 0.9]\ntrain.loss.gamma = [0.0, 1.0]\n");
  Finished done = at.orrery({"sweep", "run", "s.toml"});
  ASSERT_EQ(done.code, 0) << done.err;
  const std::string rows = at.orrery({"sweep", "table", "s.toml", "--csv"}).out;
  EXPECT_EQ(rows.substr(0, rows.find(",seed,")), "index,run,train.update.sign_descent.beta,train.loss.gamma")
      << rows;
  // Losses by name, the framework's among them.
  at.write("c.toml", "[task]\nname = \"modular_arithmetic\"\np = 5\n[model]\nd_model = 4\n");
  at.write("l.toml",
           "base = \"c.toml\"\nseeds = 1\n[set]\ntrain.steps = 5\n[grid]\n"
           "train.loss = [\"task\", \"hard_examples\", \"stablemax\"]\n");
  done = at.orrery({"sweep", "run", "l.toml"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("3 of 3 runs done"), std::string::npos) << done.err;
}

// Each on a small transformer.
struct Lie {
  const char *kind, *fault;
  std::vector<std::string> said;
  int code = 1;
};
void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.kind << " " << lie.fault; }

class LyingTrainingPlugins : public ::testing::TestWithParam<Lie> {};

TEST_P(LyingTrainingPlugins, AreNamedWithCallAndStep) {
  const auto& [kind, fault, said, code] = GetParam();
  const Workplace at;
  const std::string of = kind, name = "lying_" + of,
                    table = of == "loss"     ? "[train.loss]\nname = "
                            : of == "update" ? "[[train.update]]\nname = "
                                             : "[model]\nkind = ";
  at.write("c.toml",
           "[task]\nname = \"modular_arithmetic\"\np = 5\n[train]\nsteps = 10\nloss_dtype = "
           "\"float64\"\n" +
               table + "\"" + name + "\"\nfault = \"" + fault + "\"\n");
  const Finished done = at.orrery({"train", "c.toml", "--out", "run", "--plugin", lies + "/" + name + ".so"});
  EXPECT_EQ(done.code, code) << done.err;
  for (const std::string& part : said)
    EXPECT_NE(done.err.find(part), std::string::npos) << "expected \"" << part << "\" in: " << done.err;
}

const Lie all_lies[] = {
    {"loss", "throws", {"loss lying_loss 1.0.0, each: the table is worn out", "make another"}},
    {"loss", "refuses_all", {"lying_loss cannot be the loss of this task: it is tired"}, 2},
    {"loss", "sums", {"each: it gives a tensor [] of dtype Double; expected one loss for each label"}},
    {"loss", "detached", {"loss lying_loss 1.0.0, each: it gives losses that do not depend on the logits"}},
    {"loss", "create", {"loss lying_loss 1.0.0, create: asked to fail", "do not ask"}, 2},
    {"loss", "exits", {"loss lying_loss 1.0.0, each: it ended the program"}},
    {"update", "exits", {"update lying_update 1.0.0, step, step 3: it ended the program"}},
    {"model", "exits", {"model lying_model 1.0.0, forward: it ended the program"}},
    {"update", "throws", {"update lying_update 1.0.0, step, step 3: the table is worn out"}},
    {"update", "replaces_tensors", {"update lying_update 1.0.0, step 0: the weight of embed.W_E is now"}},
    {"update", "gives_nan", {"update lying_update 1.0.0, step 2: the weight embed.W_E is not finite"}},
    {"update", "create", {"update lying_update 1.0.0, create: asked to fail", "do not ask"}, 2},
    {"model", "throws", {"model lying_model 1.0.0, forward: the table is worn out", "make another"}},
    {"model", "no_weights", {"the model has no weights"}},
    {"model", "one_position", {"forward() gives logits of shape", "[batch, n_ctx, d_vocab_out]"}},
    {"model", "refuses_all", {"model lying_model 1.0.0, make: it is tired", "let it rest"}, 2},
};
INSTANTIATE_TEST_SUITE_P(Lies, LyingTrainingPlugins, ::testing::ValuesIn(all_lies), [](const auto& info) {
  return std::string(info.param.kind) + "_" + info.param.fault;
});

}  // namespace
}  // namespace orrery
