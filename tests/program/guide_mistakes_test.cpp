// The table of common mistakes in docs/authoring.md: each is made, and the host says what the table says.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "markdown.h"
#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

const std::string folder = ORRERY_GUIDE_PLUGINS;

std::string plugin(const std::string& target) { return folder + "/" + target + ".so"; }

struct Mistake {
  std::string said;                    // as the table quotes it
  std::vector<std::string> arguments;  // of `orrery`
  int code;
};

// Ten steps on a small task of its own.
std::vector<std::string> train(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"train",    "careless.toml",
                                        "--out",    "run",
                                        "--plugin", plugin("task_careless_task"),
                                        "--plugin", plugin("probe_careless_probe")};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}
std::vector<std::string> careless(const std::string& kind, const std::string& mistake) {
  return train({"--set", kind + (kind == "task" ? "" : ".careless_probe") + ".mistake=" + mistake});
}

const char* const guide_config = R"([task]
name = "careless_task"
[model]
d_model = 4
n_heads = 1
d_head = 4
d_mlp = 4
[train]
steps = 10
[[probe]]
name = "careless_probe"
)";

// On the same task, with a loss, an update or a model that lies (tests/plugins/bad).
std::vector<std::string> lying(const std::string& kind, const std::string& fault,
                               const std::string& more = "") {
  const std::string part = "{name='lying_" + kind + "',fault='" + fault + "'" + more + "}";
  auto arguments = train({"--plugin", ORRERY_LYING_PLUGINS "/lying_" + kind + ".so", "--set"});
  arguments.push_back(kind == "loss"     ? "train.loss=" + part
                      : kind == "update" ? "train.update=[" + part + "]"
                                         : "model={kind='lying_model',fault='" + fault + "'}");
  return arguments;
}

// With the probe fourier_basis too.
const char* const with_fourier = "probe=[{name='careless_probe'},{name='fourier_basis'}]";

std::vector<Mistake> mistakes() {
  return {
      {"no task \"signed_subtraction\"",
       {"train", "careless.toml", "--set", "task.name=signed_subtraction"},
       2},
      {"train.labels from 1 to 5; expected 0 to 4", careless("task", "label"), 1},
      {"train.labels of shape [15, 1] and dtype Int; expected [15, 1] and Long", careless("task", "dtype"),
       1},
      {"train.labels of shape [15] and dtype Long; expected [15, 1] and Long", careless("task", "shape"), 1},
      {"read_out [2]; expected ascending positions in 0..1", careless("task", "read_out"), 1},
      {"1.0.0, split: The size of tensor a (2) must match the size of tensor b (3)",
       careless("task", "throw"), 1},
      {"rows 0 and 25 of the grid both hold the indices 0 and 0",
       train({"--set", "task.mistake=cyclic", "--set", with_fourier}), 1},
      {"no hook point matches \"blocks.*.attn.hook_patern\" (did you mean", careless("probe", "hook"), 2},
      {"activation \"blocks.0.attn.hook_z\" was not cached", careless("probe", "cache"), 1},
      {"the model has no weight \"W_E\"", careless("probe", "weight"), 1},
      {"scalar \"mean\" is recorded twice at one checkpoint", careless("probe", "twice"), 1},
      {"tensor \"nothing\" is recorded but undefined", careless("probe", "undefined"), 1},
      {"each: it gives a tensor [] of dtype Double; expected one loss for each label, [15, 1] of dtype "
       "Double",
       lying("loss", "sums"), 1},
      {"each: it gives losses that do not depend on the logits", lying("loss", "detached"), 1},
      {"step 0: the weight of embed.W_E is now another tensor", lying("update", "replaces_tensors"), 1},
      {"it wrote into the weight embed.W_E, and is one of gradients",
       lying("update", "writes_into_weights", ",stage='gradients'"), 1},
      {"step 2: the weight embed.W_E is not finite after it", lying("update", "gives_nan"), 1},
      {"no weight is called \"embed.W_e\" (did you mean \"embed.W_E\"?)",
       lying("update", "", ",weights=['embed.W_e']"), 2},
      {"the model has no weights", lying("model", "no_weights"), 1},
      {"forward() gives logits of shape [3, 5] and dtype Float; expected [3, 2, 5]",
       lying("model", "one_position"), 1},
  };
}

TEST(GuideMistakes, AreAnsweredAsItsTableSays) {
  const std::string guide = source_file("docs/authoring.md");
  for (const Mistake& mistake : mistakes()) {
    SCOPED_TRACE(mistake.said);
    EXPECT_NE(guide.find(mistake.said), std::string::npos);
    const Workplace at;
    at.write("careless.toml", guide_config);
    const Finished done = at.orrery(mistake.arguments);
    EXPECT_EQ(done.code, mistake.code) << done.err;
    EXPECT_NE(done.err.find(mistake.said), std::string::npos) << done.err;
  }
}

// Careless they are only where they are told to be.
TEST(GuideMistakes, AreMade) {
  const Workplace at;
  at.write("careless.toml", guide_config);
  const Finished done = at.orrery(train({}));
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.err.find("warning"), std::string::npos) << done.err;
}

TEST(GuideMistakes, OldPluginsAndTwinsAreRefused) {
  const std::string guide = source_file("docs/authoring.md");
  const Workplace at;
  at.write("careless.toml", guide_config);
  std::ifstream file(plugin("task_careless_task"), std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  at.write("plugins/twin.so", bytes);
  const std::string stamp = "ORRERY-STAMP/1 abi=";
  size_t stamps = 0;
  for (size_t i = bytes.find(stamp); i != std::string::npos; i = bytes.find(stamp, i + 1), ++stamps)
    bytes[i + stamp.size()] = bytes[i + stamp.size()] == '0' ? '1' : '0';
  ASSERT_GE(stamps, 1u);
  at.write("old.so", bytes);
  const struct {
    std::string said, loaded;
  } refused[] = {{"not built for this Orrery, so it was not opened", "old.so"},
                 {"two plugins offer the task", "plugins/twin.so"}};
  for (const auto& [said, loaded] : refused) {
    EXPECT_NE(guide.find(said), std::string::npos) << said;
    const Finished done =
        at.orrery({"train", "careless.toml", "--plugin", plugin("task_careless_task"), "--plugin", loaded});
    EXPECT_EQ(done.code, 1) << done.err;
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
  }
}

}  // namespace
}  // namespace orrery
