// Pipelines: what a file may say, and which checkpoints a choice of steps means.
#include "engine/config/pipeline.h"

#include "tests/support/config_helpers.h"

namespace orrery::config_test {

using namespace engine;
namespace {

class PipelineTest : public ConfigTest {
 protected:
  static Pipeline pipeline(const std::string& text) { return resolve_pipeline(load(text), parameters_of); }
  static std::string refusal(const std::string& text) {
    return complaint([&] { pipeline(text); });
  }
};

std::vector<int64_t> chosen(const std::string& text) {
  return StepChoice::parse(text, "--steps").choose({0, 100, 150, 200}, "runs/x", [] { return 150; });
}
std::string refused(const std::string& text, const std::vector<int64_t>& there = {0, 100, 150, 200}) {
  return complaint([&] { StepChoice::parse(text, "--steps").choose(there, "runs/x", [] { return 0; }); });
}

using Steps = std::vector<int64_t>;

TEST(StepChoice, MeansTheseCheckpoints) {
  EXPECT_EQ(chosen("all"), (Steps{0, 100, 150, 200}));
  EXPECT_EQ(chosen("last"), Steps{200});
  EXPECT_EQ(chosen("every 100"), (Steps{0, 100, 200}));
  EXPECT_EQ(chosen("every 75"), (Steps{0, 150}));
  EXPECT_EQ(chosen("150, 0,150"), (Steps{0, 150}));
  EXPECT_EQ(StepChoice().choose({7}, "runs/x", {}), Steps{7});
  EXPECT_EQ(chosen("first"), Steps{0});
  EXPECT_EQ(chosen("grokked"), Steps{150});
  EXPECT_EQ(chosen("last, first,100,first"), (Steps{0, 100, 200}));
}

TEST(StepChoice, SaysWhatIsWrong) {
  const std::string expected =
      R"(--steps: expected "all", "first", "last", "grokked", "every N" or a list of steps such as 0,500,1000; got )";
  for (const char* wrong : {"", "al", "every", "every 0", "every x", "1,,2", "1,x", "-1", "1e3"})
    EXPECT_EQ(refused(wrong), expected + "\"" + wrong + "\"");
  EXPECT_EQ(refused("0,120"),
            "--steps: there is no checkpoint of step 120 in runs/x | there are 4, from step 0 to 200");
  EXPECT_EQ(refused("every 70", {10, 20}),
            "runs/x: no checkpoint is of a step that is a multiple of 70 | there are 2, from step 10 to 20");
  EXPECT_EQ(refused("all", {}), "runs/x: the run has no checkpoints | train it first");
}

TEST_F(PipelineTest, IsReadFromToml) {
  const Pipeline read = pipeline(R"(
runs = ["runs/a-*", "runs/b"]
steps = [200, 0]
[[probe]]
name = "spectrum"
threshold = 2
every = 100
[[probe]]
name = "spectrum"
label = "again"
)");
  EXPECT_EQ(read.runs, (std::vector<std::string>{"runs/a-*", "runs/b"}));
  EXPECT_EQ(read.steps.choose({0, 100, 200}, "", {}), (Steps{0, 200}));
  ASSERT_EQ(read.probes.size(), 2u);
  EXPECT_EQ(read.probes[0].every, 100);
  EXPECT_EQ(std::get<double>(read.probes[0].parameters.at("threshold")), 2);
  EXPECT_EQ(read.probes[1].label, "again");
  const Pipeline words = pipeline("steps = [\"last\", \"0\"]\n[[probe]]\nname = \"norms\"\n");
  EXPECT_EQ(words.steps.choose({0, 100, 200}, "", {}), (Steps{0, 200}));
  const Pipeline brief = pipeline("steps = \"every 100\"\n[[probe]]\nname = \"norms\"\n");
  EXPECT_TRUE(brief.runs.empty());
  EXPECT_EQ(brief.steps.choose({0, 100, 150}, "", {}), (Steps{0, 100}));
}

TEST_F(PipelineTest, EveryMistakeHasItsPlace) {
  const std::string probe = "\n[[probe]]\nname = \"norms\"\n";
  EXPECT_EQ(refusal("runs = [\"x\"]"),
            "configs/x.toml: this pipeline has no [[probe]] | name at least one: [[probe]] and, below it, "
            "name = \"...\"");
  EXPECT_EQ(refusal("rnus = [\"x\"]" + probe).substr(0, 19), "configs/x.toml:1:1:");
  EXPECT_NE(refusal("rnus = [\"x\"]" + probe).find("did you mean \"runs\"?"), std::string::npos);
  EXPECT_EQ(refusal("steps = \"often\"" + probe),
            "configs/x.toml:1:1: expected \"all\", \"first\", \"last\", \"grokked\", \"every N\" or a list "
            "of steps such as "
            "0,500,1000; got \"often\"");
  EXPECT_EQ(refusal("steps = 3" + probe),
            "configs/x.toml:1:1: steps: expected \"all\", \"first\", \"last\", \"grokked\", \"every N\" or a "
            "list of steps such as "
            "0,500,1000, got 3 (an integer)");
  EXPECT_NE(refusal("[task]\nname = \"sums\"" + probe).find("the pipeline has no key \"task\""),
            std::string::npos)
      << refusal("[task]\nname = \"sums\"" + probe);
  EXPECT_NE(refusal("[[probe]]\nname = \"spectrun\"").find("configs/x.toml:2:1"), std::string::npos);
}

}  // namespace
}  // namespace orrery::config_test
