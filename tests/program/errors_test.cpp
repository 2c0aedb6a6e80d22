// Wrong requests: one message that says what and where, exit code 2, nothing on stdout, nothing left behind.
#include <gtest/gtest.h>

#include "run_program.h"

namespace orrery {
namespace {

constexpr const char* good = R"([task]
name = "modular_arithmetic"
p = 7
[model]
d_model = 8
d_head = 4
d_mlp = 8
[train]
steps = 2
[[probe]]
name = "fourier_basis"
)";

struct Mistake {
  const char* name;
  std::vector<std::string> arguments;
  std::vector<std::string> said;  // all of these, in stderr
  int code = 2;
};

void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

const Mistake mistakes[] = {
    {"unknown_command", {"trian"}, {"trian", "did you mean \"train\"?"}},
    {"unknown_flag", {"train", "good.toml", "--stesp", "4"}, {"--stesp"}},
    {"key_without_table",
     {"train", "good.toml", "--set", "steps=10"},
     {"--set steps=10", "did you mean train.steps?"}},
    {"eps", {"train", "good.toml", "--set", "train.eps=0"}, {"--set train.eps=0: train.eps"}},
    {"betas_of_one", {"train", "good.toml", "--set", "train.betas=[1, 1]"}, {"train.betas", "never forgets"}},
    {"endless_steps",
     {"train", "good.toml", "--set", "train.steps=9223372036854775807"},
     {"train.steps", "1 to"}},
    {"a_million_layers",
     {"train", "good.toml", "--set", "model.n_layers=1000000"},
     {"model.n_layers", "1 to 1000"}},
    {"negative_step",
     {"import", "x.pth", "--config", "good.toml", "--step", "-5"},
     {"expected an integer >= 0, got -5"}},
    {"negative_limit", {"check", "--all", "--limit", "-5"}, {"expected an integer >= 1, got -5"}},
    {"no_config", {"train"}, {"a config or --resume RUN"}},
    {"missing_config", {"train", "absent.toml"}, {"absent.toml"}},
    {"config_is_a_folder", {"train", "."}, {"."}},
    {"unknown_key",
     {"train", "unknown_key.toml"},
     {"unknown_key.toml:9:1", "stesp", "did you mean \"steps\"?"}},
    {"wrong_type",
     {"train", "good.toml", "--set", "train.steps=abc"},
     {"--set train.steps=abc", "an integer"}},
    {"out_of_bounds",
     {"train", "good.toml", "--set", "train.steps=0"},
     {"train.steps", "1 to 1000000000000", "got 0"}},
    {"unknown_task",
     {"train", "good.toml", "--set", "task.name=modular_aritmetic"},
     {"did you mean \"modular_arithmetic\"?"}},
    {"unknown_probe",
     {"train", "unknown_probe.toml"},
     {"unknown_probe.toml:11:", "fourier_basics", "did you mean \"fourier_basis\"?"}},
    {"unknown_probe_key",
     {"train", "good.toml", "--set", "probe.fourier_basis.evry=2"},
     {"fourier_basis", "evry", "did you mean \"every\"?"}},
    {"unknown_model",
     {"train", "good.toml", "--set", "model.kind=transfomer"},
     {"did you mean \"transformer\"?"}},
    {"not_prime",
     {"train", "good.toml", "--set", "task.p=9", "--set", "task.operation=divide"},
     {"good.toml:1:1 (with --set task.operation=divide, --set task.p=9): ", "9 is not prime (3 x 3)"}},
    {"too_many_examples", {"train", "good.toml", "--set", "task.n_train=50"}, {"good.toml:1:1", "50", "49"}},
    {"batch_too_large",
     {"train", "good.toml", "--set", "train.batch_size=400"},
     {"--set train.batch_size=400: train.batch_size is 400", "14 training examples"}},
    {"bad_condition",
     {"train", "good.toml", "--set", "train.stop_when=\"test/accuracy => 1\""},
     {"stop_when"}},
    {"unknown_metric",
     {"train", "good.toml", "--set", "train.stop_when=\"test/acuracy >= 1\""},
     {"--set train.stop_when=", "did you mean \"test/accuracy\"?"}},
    {"betas",
     {"train", "good.toml", "--set", "train.betas=[0.9]"},
     {"train.betas", "expected two reals", "[0.9]"}},
    {"no_cyclic_structure",
     {"train", "good.toml", "--set", "task.operation=x^2+xy+y^2"},
     {"good.toml:10:1: probe", "fourier_basis", "cyclic structure"}},
    {"no_mlp",
     {"train", "good.toml", "--set", "model.attn_only=true"},
     {"good.toml:10:1: probe", "fourier_basis", "mlp.hook_pre"}},
    {"probe_of_none",
     {"train", "endless.toml", "--set", "probe.fourier_basis.every=5"},
     {"--set probe.fourier_basis.every", "no [[probe]] has the label or name \"fourier_basis\""}},
    {"sweep_as_config",
     {"train", "sweep.toml"},
     {"sweep.toml: this is a sweep", "orrery sweep run sweep.toml"}},
    {"config_as_sweep",
     {"sweep", "plan", "good.toml"},
     {"good.toml: this is the config of one run, not a sweep", "orrery train good.toml"}},
    {"base_is_a_sweep",
     {"sweep", "plan", "of_sweep.toml"},
     {"of_sweep.toml:1:8: base: sweep.toml is a sweep itself"}},
    {"sweep_as_run",
     {"show", "swept"},
     {"swept: no run: this is the folder of a sweep", "sweep status swept"}},
    {"resume_nothing", {"train", "--resume", "absent"}, {"absent"}},
    {"resume_no_run", {"train", "--resume", "."}, {"run.json"}},
    {"resume_with_out", {"train", "--resume", "absent", "--out", "x"}, {"--out"}},
    {"probe_nothing", {"probe", "absent"}, {"absent"}},
    {"describe_unnamed", {"describe"}, {"say what to describe", "\n  probes: "}},
    {"describe_nothing",
     {"describe", "fourier_bases"},
     {"no plugin or table of a config \"fourier_bases\" (did you mean \"fourier_basis\"?)",
      "\n  tasks: balanced_brackets, ", "\n  probes: attention_patterns, ",
      "\n  tables of a config: config, ", "--plugin FILE.so"}},
    {"subsequence_too_long",
     {"train", "endless.toml", "--set", "task.length=40"},
     {"repeated 3 times takes 48"}},
    {"endless_without_batches",
     {"train", "endless.toml", "--set", "train.batch_size=0"},
     {"--set train.batch_size=0: train.batch_size is 0"}},
    {"own_model_of_none",
     {"train", "endless.toml", "--set", "model.kind=task"},
     {"--set model.kind=task", "repeated_subsequence brings no model"}},
    {"init_from_nothing",
     {"train", "good.toml", "--set", "init.from=\"absent.safetensors\""},
     {"init.from", "absent.safetensors", "train the run that it belongs to first"}},
    {"ablate_nothing", {"ablate", "absent"}, {"absent"}},
    {"patch_nothing", {"patch", "absent", "--from-step", "0"}, {"absent"}},
    {"export_nothing", {"export", "absent", "--out", "x.pth"}, {"absent"}},
    {"export_where", {"export", "absent"}, {"--out", "--figures"}},
    {"export_figures_of_nothing", {"export", "absent", "--figures", "svg"}, {"absent"}},
    {"export_unknown_image", {"export", "absent", "--figures", "gif"}, {"gif", "svg"}},
    {"report_nothing", {"report", "absent"}, {"absent"}},
    {"import_nothing", {"import", "absent.pth", "--config", "good.toml"}, {"absent.pth"}},
    {"absent_plugin", {"plugins", "--plugin", "absent.so"}, {"absent.so"}},
    {"plugin_is_text", {"plugins", "--plugin", "good.toml"}, {"good.toml", "shared library"}, 2},
};

class Mistakes : public ::testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreAnsweredKindly) {
  Workplace at;
  at.write("good.toml", good);
  at.write("endless.toml", "[task]\nname = \"repeated_subsequence\"\n[train]\nbatch_size = 8\n");
  at.write("sweep.toml", "base = \"good.toml\"\nseeds = 2\n");
  at.write("of_sweep.toml", "base = \"sweep.toml\"\nseeds = 2\n");
  at.write("swept/plan.json", "{}");
  std::string text = good;
  at.write("unknown_key.toml", text.replace(text.find("steps"), 5, "stesp"));
  text = good;
  at.write("unknown_probe.toml", text.replace(text.find("fourier_basis"), 13, "fourier_basics"));
  const Finished done = at.orrery(GetParam().arguments);
  EXPECT_EQ(done.code, GetParam().code) << done.err;
  EXPECT_EQ(done.out, "");
  for (const std::string& said : GetParam().said)
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
  EXPECT_EQ(done.err.find("\033["), std::string::npos);
  EXPECT_EQ(done.err.find("frame #"), std::string::npos);
  EXPECT_LT(done.err.size(), 4000u);
  EXPECT_FALSE(std::filesystem::exists(at.path("runs")));
  EXPECT_FALSE(std::filesystem::exists(at.path("x")));
}

INSTANTIATE_TEST_SUITE_P(Requests, Mistakes, ::testing::ValuesIn(mistakes),
                         [](const auto& info) { return info.param.name; });

TEST(Help, IsOnEverythingWithExamples) {
  const Workplace at;
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {}, {"train"}, {"probe"}, {"verify"}, {"ablate"}, {"patch"}, {"plugins"}, {"describe"}}) {
    auto arguments = command;
    arguments.push_back("--help");
    const Finished done = at.orrery(arguments);
    EXPECT_EQ(done.code, 0);
    EXPECT_NE(done.out.find("Examples:"), std::string::npos) << done.out;
    EXPECT_EQ(done.err, "");
  }
}

TEST(Describe, ListsParametersAndPlace) {
  const Workplace at;
  const Finished plugins = at.orrery({"plugins"});
  EXPECT_EQ(plugins.code, 0);
  for (const char* name : {"modular_arithmetic", "fourier_basis", "trig_loss", "excluded_loss"})
    EXPECT_NE(plugins.out.find(name), std::string::npos) << plugins.out;
  const Finished described = at.orrery({"describe", "modular_arithmetic"});
  EXPECT_EQ(described.code, 0);
  for (const char* said : {"train_fraction", "0.3", "0 to 1", ".so"})
    EXPECT_NE(described.out.find(said), std::string::npos) << described.out;
}

}  // namespace
}  // namespace orrery
