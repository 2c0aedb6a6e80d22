// Sweep files: what they may say, and the place of every mistake.
#include "engine/config/sweep_file.h"

#include "engine/sweep/sweep_point.h"
#include "tests/support/config_helpers.h"

namespace orrery::config_test {

using namespace engine;
namespace {

constexpr const char* base = "[task]\nname = \"sums\"\n[[probe]]\nname = \"norms\"\n";

class SweepFileTest : public ConfigTest {
 protected:
  static SweepFile sweep(const std::string& text) {
    std::ofstream("configs/base.toml") << base;
    std::ofstream("configs/s.toml") << "base = \"base.toml\"\n" + text;
    return read_sweep_file("configs/s.toml");
  }
  static std::string refusal(const std::string& text) {
    return complaint([&] {
      const SweepFile file = sweep(text);
      expand(file);
      check_swept(file);
    });
  }
  static std::vector<std::string> points(const std::string& text) {
    std::vector<std::string> texts;
    for (const SweepPoint& point : expand(sweep(text))) texts.push_back(point_text(point));
    return texts;
  }
};

using Texts = std::vector<std::string>;

TEST_F(SweepFileTest, TheGridIsEveryCombinationWithEverySeed) {
  EXPECT_EQ(points("seeds = 2\n[grid]\ntrain.lr = [0.1, 1]\ntask.operation = [\"add\", \"subtract\"]\n"),
            (Texts{"train.lr = 0.1, task.operation = \"add\", seed 0",
                   "train.lr = 0.1, task.operation = \"add\", seed 1",
                   "train.lr = 0.1, task.operation = \"subtract\", seed 0",
                   "train.lr = 0.1, task.operation = \"subtract\", seed 1",
                   "train.lr = 1, task.operation = \"add\", seed 0",
                   "train.lr = 1, task.operation = \"add\", seed 1",
                   "train.lr = 1, task.operation = \"subtract\", seed 0",
                   "train.lr = 1, task.operation = \"subtract\", seed 1"}));
  EXPECT_EQ(points(""), Texts{""});
  EXPECT_EQ(points("seeds = [7, 3]\n"), (Texts{"seed 7", "seed 3"}));
}

TEST_F(SweepFileTest, ListsAndBooleansAreValuesToo) {
  EXPECT_EQ(points("[grid]\ntrain.betas = [[0.9, 0.98], [0.5, 0.9]]\nmodel.attn_only = [true, false]\n"),
            (Texts{"train.betas = [0.9, 0.98], model.attn_only = true",
                   "train.betas = [0.9, 0.98], model.attn_only = false",
                   "train.betas = [0.5, 0.9], model.attn_only = true",
                   "train.betas = [0.5, 0.9], model.attn_only = false"}));
}

TEST_F(SweepFileTest, ZippedListsGoTogetherAndPointsStandBeside) {
  EXPECT_EQ(
      points("[grid]\ntask.p = [5, 7]\n[[zip]]\ntrain.lr = [0.1, 0.2]\ntrain.steps = [10, 20]\n"
             "[[exclude]]\ntask.p = 7\ntrain.lr = [0.1]\n[[point]]\ntask.p = 11\n"),
      (Texts{"task.p = 5, train.lr = 0.1, train.steps = 10", "task.p = 5, train.lr = 0.2, train.steps = 20",
             "task.p = 7, train.lr = 0.2, train.steps = 20", "task.p = 11"}));
  EXPECT_EQ(points("[[point]]\ntask.p = 11\n"), Texts{"task.p = 11"});
}

TEST_F(SweepFileTest, OverridesComeInTheirOrder) {
  const SweepFile file = sweep(
      "seeds = [4]\nseeds_of = [\"init\"]\nkeep = \"logarithmic\"\n"
      "[set]\ntrain.steps = 50\n[grid]\ntask.p = [5]\n");
  Texts keys;
  for (const Override& each : expand(file)[0].overrides(file))
    keys.push_back(each.key + "=" + to_string(each.value));
  EXPECT_EQ(keys, (Texts{"checkpoints.every=0", "checkpoints.per_decade=5", "train.steps=50", "task.p=5",
                         "seeds.init=4"}));
  const Settings settings = resolve_with(file.base, expand(file)[0].overrides(file), parameters_of);
  EXPECT_EQ(settings.train.steps, 50);
  EXPECT_EQ(settings.seeds.init, 4);
  EXPECT_EQ(settings.seeds.data, 0);
  EXPECT_EQ(settings.name, "base");
}

TEST_F(SweepFileTest, ValuesKeepTheirPlaceInTheSweep) {
  const SweepFile file = sweep("[grid]\ntask.p = [5,\n  1]\n");
  const SweepPoint bad = expand(file)[1];
  EXPECT_EQ(complaint([&] { resolve_with(file.base, bad.overrides(file), parameters_of); }),
            "configs/s.toml:4:3: task.p: expected an integer >= 2, got 1");
}

TEST_F(SweepFileTest, ABadValuePointsAtTheValueAndABadKeyAtTheKey) {
  const auto resolved = [](const std::string& text) {
    return complaint([&] {
      const SweepFile file = sweep(text);
      for (const SweepPoint& point : expand(file))
        resolve_with(file.base, point.overrides(file), parameters_of);
    });
  };
  const auto begins = [](const std::string& text, const std::string& begin) {
    EXPECT_EQ(text.substr(0, begin.size()), begin);
  };
  begins(resolved("[set]\ntask.p = 1\n"), "configs/s.toml:3:10: task.p: expected an integer");
  begins(resolved("[[point]]\ntask.p = 1\n"), "configs/s.toml:3:10: task.p: expected an integer");
  begins(resolved("[grid]\ntask.p = [5, 1]\n"), "configs/s.toml:3:14: task.p: expected an integer");
  begins(resolved("[set]\ntask.q = 1\n"), "configs/s.toml:3:6: task \"sums\" has no key \"q\"");
  begins(resolved("[grid]\ntask.q = [1]\n"), "configs/s.toml:3:6: task \"sums\" has no key \"q\"");
  begins(resolved("[[zip]]\ntask.q = [1]\n"), "configs/s.toml:3:6: task \"sums\" has no key \"q\"");
}

TEST_F(SweepFileTest, StagesHaveGridsOfTheirOwn) {
  const SweepFile file = sweep(R"(seeds = 2
keep = "none"
[grid]
train.lr = [0.1, 1]
[[stage]]
name = "full"
keep = "all"
[stage.set]
train.steps = 5
[[stage]]
name = "fewer"
from = "full"
checkpoint = "first test/accuracy >= 0.99"
[stage.grid]
task.p = [5, 7]
[[stage.exclude]]
task.p = 7
)");
  ASSERT_EQ(file.stages.size(), 2u);
  EXPECT_EQ(file.keep_of("full"), Keep::all);
  EXPECT_EQ(file.keep_of("fewer"), Keep::none);
  EXPECT_EQ(file.stages[1].start.kind, StartRule::Kind::first);
  const std::vector<SweepPoint> full = expand(file, file.stages[0]);
  ASSERT_EQ(full.size(), 4u);
  EXPECT_EQ(point_text(full[3]), "stage full, train.lr = 1, seed 1");
  const std::vector<SweepPoint> fewer = expand(file, file.stages[1], full[3]);
  ASSERT_EQ(fewer.size(), 1u);
  EXPECT_EQ(point_text(fewer[0]), "stage fewer, train.lr = 1, task.p = 5, seed 1");
  Texts keys;
  for (const Override& each : fewer[0].overrides(file)) keys.push_back(each.key);
  EXPECT_EQ(keys, (Texts{"checkpoints.every", "checkpoints.per_decade", "train.lr", "task.p", "seeds.data",
                         "seeds.init", "seeds.batches"}));
  EXPECT_EQ(expand(file, file.stages[0])[0].overrides(file)[0].key, "train.steps");
}

TEST_F(SweepFileTest, AMistakeInAStageHasItsPlace) {
  const auto begins = [](const std::string& text, const std::string& begin) {
    EXPECT_EQ(text.substr(0, begin.size()), begin);
  };
  begins(complaint([] { sweep("[[stage]]\nfrom = \"x\"\n"); }),
         "configs/s.toml:2:1: [[stage]] needs a key \"name\"");
  const std::string full = "[[stage]]\nname = \"full\"\n", few = full + "[[stage]]\nname = \"few\"\n";
  begins(complaint([&] { sweep(full + full); }), "configs/s.toml:5:8: two entries of [[stage]] are called");
  begins(complaint([&] { sweep(few + "from = \"ful\"\n"); }),
         "configs/s.toml:6:8: from: there is no earlier [[stage]] \"ful\" (did you mean \"full\"?)");
  begins(complaint([&] { sweep(few + "from = \"full\"\ncheckpoint = \"frist\"\n"); }),
         "configs/s.toml:7:14: checkpoint: expected \"last\", \"step NUMBER\" or");
  begins(complaint([&] { sweep(few + "checkpoint = \"last\"\n"); }),
         "configs/s.toml:6:1: checkpoint: this stage starts anew");
  begins(complaint([&] { sweep(few + "form = \"full\"\n"); }),
         "configs/s.toml:6:1: [[stage]] has no key \"form\"");
  begins(complaint([&] {
           const SweepFile file =
               sweep("[grid]\ntask.p = [5]\n" + few + "from = \"full\"\n[stage.set]\ntask.p = 7\n");
           expand(file, file.stages[1], expand(file, file.stages[0])[0]);
         }),
         "configs/s.toml:10:6: task.p: the runs that stage few starts from differ in it");
}

TEST_F(SweepFileTest, EveryMistakeHasItsPlace) {
  const auto expect_begin = [](const std::string& text, const std::string& begin) {
    EXPECT_EQ(text.substr(0, begin.size()), begin);
  };
  expect_begin(refusal("sedes = 3\n"),
               "configs/s.toml:2:1: the sweep has no key \"sedes\" (did you mean \"seeds\"?)");
  expect_begin(refusal("seeds = 0\n"), "configs/s.toml:2:9: seeds: expected their number or a list");
  expect_begin(refusal("seeds = 100000000\n"),
               "configs/s.toml:2:9: seeds: expected 1 to 100000 of them, got 100000000");
  expect_begin(refusal("seeds = [1, 1]\n"), "configs/s.toml:2:9: seeds: expected integers >= 0, each once");
  expect_begin(refusal("seeds_of = [\"dta\"]\n"),
               "configs/s.toml:2:12: seeds_of: there is no seed \"dta\" (did you mean");
  expect_begin(refusal("keep = \"some\"\n"), "configs/s.toml:2:8: keep: expected one of");
  expect_begin(refusal("[grid]\ntask.p = 5\n"),
               "configs/s.toml:3:10: task.p: expected a list of values, got 5");
  expect_begin(refusal("[grid]\ntask.p = []\n"), "configs/s.toml:3:10: task.p: the list is empty");
  expect_begin(refusal("[[zip]]\ntask.p = [5, 7]\ntrain.lr = [1]\n"),
               "configs/s.toml:4:7: train.lr has 1 values, task.p has 2");
  expect_begin(refusal("[set]\ntask.p = 5\n[grid]\ntask.p = [7]\n"),
               "configs/s.toml:5:6: task.p is set twice");
  expect_begin(refusal("[grid]\ntask.p = [7]\n[[exclude]]\ntask.p = 5\n"),
               "configs/s.toml:4:1: this [[exclude]] is of no point of the grid");
  EXPECT_EQ(refusal("[grid]\ntask.p = [7]\n[[exclude]]\ntask.p = 7\n"),
            "configs/s.toml: every point of the grid is excluded");
  expect_begin(refusal("[set]\nname = \"x\"\n"), "configs/s.toml:3:1: name: a sweep cannot set this");
  EXPECT_NE(refusal("seeds = 100000\n[grid]\ntask.p = [5, 7]\n").find("more than 100000 runs"),
            std::string::npos);
}

TEST_F(SweepFileTest, ABaseThatIsNotThereIsAMistakeOfTheSweep) {
  std::ofstream("configs/s.toml") << "name = \"x\"\nbase = \"nowhere.toml\"\n";
  EXPECT_EQ(
      complaint([] { read_sweep_file("configs/s.toml"); }),
      "configs/s.toml:2:8: base: configs/nowhere.toml: cannot open the config: No such file or directory "
      "| the path of `base` is relative to the sweep's file");
  std::ofstream("configs/s.toml") << "base = 3\n";
  EXPECT_EQ(complaint([] { read_sweep_file("configs/s.toml"); }).substr(0, 21), "configs/s.toml:1:8: b");
}

constexpr const char* grok =
    "seeds = 2\n[[reading]]\nname = \"grok\"\nmetric = \"test/accuracy\"\nof = \"first step >= 0.99\"\n";

TEST_F(SweepFileTest, ReadingsClassesAndClaims) {
  const SweepFile file = sweep(std::string(grok) + R"(
[[reading]]
name = "end"
metric = "probe/norms/x"
[[class]]
name = "groks"
if = "grok <= 100 and end > 0"
[[class]]
name = "other"
[[expect]]
share = "groks"
bound = ">= 0.5"
source = "x"
where.seed = [0, 1]
[[expect]]
quantile = "grok"
q = 0.9
bound = "<= 5"
source = "x"
[[expect]]
order = "grok"
along = "seed"
bound = "< 0"
source = "x"
)");
  ASSERT_EQ(file.readings.size(), 2u);
  EXPECT_EQ(file.readings[0].question.reading.kind, Reading::Kind::first_step);
  EXPECT_TRUE(file.readings[1].question.rows.end);
  EXPECT_TRUE(file.classes[0].condition.holds({{"grok", 50}, {"end", 1}}));
  EXPECT_FALSE(file.classes[0].condition.holds({{"end", 1}}));
  EXPECT_TRUE(file.classes[1].otherwise);
  EXPECT_EQ(sentence(file.claims[0]), "share of groks >= 0.5, seed = 0 or 1");
  EXPECT_EQ(sentence(file.claims[1]), "0.9-quantile of grok <= 5");
  EXPECT_EQ(sentence(file.claims[2]), "rank correlation of grok with seed < 0");
}

TEST_F(SweepFileTest, ClaimsThatCannotBeMeantAreRefused) {
  const auto holds = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  const std::string more = grok, end = "bound = \">= 1\"\nsource = \"x\"\n";
  holds(refusal("[[reading]]\nname = \"a\"\nmetric = \"probe/nroms/x\"\n"),
        "no probe has the label \"nroms\"");
  holds(refusal("[[reading]]\nname = \"a\"\nmetric = \"x\"\nwhen = \"always\"\n"),
        "a reading is one number, not every row");
  holds(refusal("[[reading]]\nname = \"a b\"\nmetric = \"x\"\n"), "expected one word");
  holds(refusal(more + "[[class]]\nname = \"c\"\nif = \"grk > 1\"\n"),
        "configs/s.toml:9:6: class.c.if: there is no [[reading]] \"grk\"");
  holds(refusal(more + "[[class]]\nname = \"c\"\n[[class]]\nname = \"d\"\n"), "no run is of this class");
  holds(refusal(more + "[[expect]]\n" + end), "needs one of the keys share, median, quantile, order");
  holds(refusal(more + "[[expect]]\nshare = \"c\"\n" + end), "there is no [[class]] \"c\"");
  holds(refusal(more + "[[expect]]\norder = \"grok\"\nalong = \"seed\"\nbound = \">= 75\"\nsource = \"x\"\n"),
        "a rank correlation is never >= 75: it is from -1 to 1");
  holds(refusal(more + "[[expect]]\nmedian = \"grok\"\nshare = \"c\"\n" + end),
        "one entry claims a share and a median");
  holds(refusal(more + "[[expect]]\nmedian = \"grok\"\nq = 0.2\n" + end), "belongs to quantile");
  holds(refusal(more + "[[expect]]\nquantile = \"grok\"\n" + end), "quantile needs q");
  holds(refusal(more + "[[expect]]\nrising = \"grok\"\n" + end), "configs/s.toml:8:1: rising needs along");
  holds(refusal(more + "[[expect]]\nbelow = \"grok\"\nthan = \"grk\"\n" + end),
        "configs/s.toml:9:8: expect.than: there is no [[reading]] \"grk\" (did you mean \"grok\"?)");
  holds(refusal(more + "[[expect]]\norder = \"grok\"\nalong = \"seed\"\ngiven = \"grk\"\n" + end),
        "configs/s.toml:10:9: expect.given: there is no [[reading]] \"grk\" (did you mean \"grok\"?)");
  holds(refusal(more + "[[expect]]\nmedian = \"grok\"\ngiven = \"grok\"\n" + end), "belongs to order");
  holds(refusal(more + "[[expect]]\nmedian = \"grok\"\nthan = \"grok\"\n" + end),
        "configs/s.toml:9:1: expect.than belongs to below, not to median");
  holds(refusal(more + "[[expect]]\nequal = \"grok\"\nacross = \"task.p\"\n" + end),
        "configs/s.toml:9:10: expect.across: the runs do not differ in task.p");
  holds(refusal(more + "[[expect]]\norder = \"grok\"\nalong = \"task.p\"\n" + end),
        "the runs do not differ in task.p");
  holds(refusal(more + "[[expect]]\nmedian = \"grok\"\nbound = \">= 1\"\n"), "needs a key \"source\"");
}

}  // namespace
}  // namespace orrery::config_test
