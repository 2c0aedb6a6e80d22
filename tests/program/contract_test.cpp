// What a task may bring besides its data, trained with the plugins of the guide: metrics of its own,
// auxiliary labels, a curriculum; and a probe that concludes from the tensors and findings it recorded.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "markdown.h"
#include "run_program.h"

namespace orrery {
namespace {

using Json = nlohmann::json;

// Without carries up to step 30.
constexpr const char* contract_config = R"(
[task]
name = "carry_addition"
n_digits = 2
without_carries = 30
n_test = 200
[model]
d_model = 16
n_heads = 2
d_head = 8
d_mlp = 32
[train]
steps = 60
lr = 3e-3
weight_decay = 0
batch_size = 32
eval_every = 10
[checkpoints]
every = 20
)";
constexpr const char* with_probe = "[[probe]]\nname = \"carry_direction\"\nfound = 0\n";

class Contract : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("ORRERY_PLUGIN_PATH", ORRERY_GUIDE_PLUGINS, 1); }
  static void TearDownTestSuite() { unsetenv("ORRERY_PLUGIN_PATH"); }

  Finished train(const std::string& out, const std::string& more = "",
                 std::vector<std::string> arguments = {}) {
    at.write("c.toml", contract_config + more);
    arguments.insert(arguments.begin(), {"train", "c.toml", "--out", out});
    return at.orrery(arguments);
  }
  std::vector<Json> lines(const std::string& file) const {
    std::vector<Json> all;
    for (const std::string& line : at.lines(file)) all.push_back(Json::parse(line));
    return all;
  }

  Workplace at;
};

TEST_F(Contract, ATasksMetricsAreColumnsLikeOthers) {
  const Finished done = train("run");
  ASSERT_EQ(done.code, 0) << done.err;
  const auto rows = lines("run/metrics.jsonl");
  ASSERT_EQ(rows.size(), 7u);
  const std::string first = at.lines("run/metrics.jsonl").front();
  size_t place = 0;
  for (const char* column : {"\"step\"", "\"train/loss\"", "\"train/accuracy\"", "\"train/whole_sum\"",
                             "\"train/after_carry\"", "\"test/loss\"", "\"test/accuracy\"",
                             "\"test/whole_sum\"", "\"test/after_carry\"", "\"weights/norm\""}) {
    EXPECT_GT(first.find(column) + 1, place) << column << " in " << first;
    place = first.find(column) + 1;
  }
  // 200 test sums: the share is a number of whole sums.
  const double whole = 200 * rows.back()["test/whole_sum"].get<double>();
  EXPECT_NEAR(whole, std::round(whole), 1e-9);
  EXPECT_LE(rows.back()["test/whole_sum"].get<double>(), rows.back()["test/accuracy"].get<double>());
  EXPECT_NE(at.orrery({"show", "run"}).out.find("test/whole_sum"), std::string::npos);
  ASSERT_EQ(at.orrery({"report", "run"}).code, 0);
}

TEST_F(Contract, TheConfigOfTheGuideTrains) {
  at.write("c.toml", source_file("plugins/guide/carry_addition/carry_addition.toml"));
  const Finished done = at.orrery({"train", "c.toml", "--out", "run", "--set", "train.steps=50"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(std::filesystem::exists(at.path("run/probes/carry_direction/conclusion.json")));
}

TEST_F(Contract, ATasksMetricsEndATrainingAndAreExpected) {
  const Finished ended = train("ended", "", {"--set", "train.stop_when=\"test/after_carry >= 0\""});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(lines("ended/metrics.jsonl").size(), 1u);
  const Finished wrong = train("wrong", "", {"--set", "train.stop_when=\"test/whole_some >= 0\""});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("there is no metric \"test/whole_some\" (did you mean \"test/whole_sum\"?)"),
            std::string::npos)
      << wrong.err;
  at.write("e.toml", std::string(contract_config) +
                         "[[expect]]\nmetric = \"test/after_carry\"\nwhen = \"step 0\"\nbound = \"< 0.6\"\n"
                         "source = \"guessing\"\n");
  const Finished verified = at.orrery({"verify", "e.toml"});
  EXPECT_EQ(verified.code, 0) << verified.out << verified.err;
  EXPECT_NE(verified.out.find("test/after_carry"), std::string::npos) << verified.out;
}

// Stopped within the first stage of the curriculum, it goes on with the same examples.
TEST_F(Contract, AResumedCurriculumEndsBitForBitAsIfNeverStopped) {
  ASSERT_EQ(train("whole").code, 0);
  ASSERT_EQ(train("stopped", "", {"--set", "train.steps=20"}).code, 0);
  const Finished resumed = at.orrery({"train", "--resume", "stopped", "--set", "train.steps=60"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(at.read("stopped/metrics.jsonl"), at.read("whole/metrics.jsonl"));
  for (const char* step : {"20", "40", "60"}) {
    const std::string file = std::string("/checkpoints/step_000000") + step + ".safetensors";
    EXPECT_EQ(at.read("stopped" + file), at.read("whole" + file)) << step;
  }
  // The curriculum is there: without it the same seed trains on other sums from the first update on.
  ASSERT_EQ(train("flat", "", {"--set", "task.without_carries=0"}).code, 0);
  EXPECT_NE(at.read("flat/checkpoints/step_00000020.safetensors"),
            at.read("whole/checkpoints/step_00000020.safetensors"));
}

TEST_F(Contract, AProbeConcludesFromItsOwnTensorsAndFindings) {
  const Finished done = train("run", with_probe);
  ASSERT_EQ(done.code, 0) << done.err;
  const auto recorded = lines("run/probes/carry_direction/results.jsonl");
  ASSERT_EQ(recorded.size(), 4u);
  EXPECT_TRUE(recorded[0]["probes"]["carry_direction"]["findings"].contains("carry"));  // found = 0
  const Json conclusion = Json::parse(at.read("run/probes/carry_direction/conclusion.json"));
  const Json& scalars = conclusion["probes"]["carry_direction"]["scalars"];
  EXPECT_EQ(scalars["found/step"], 0);
  EXPECT_LE(scalars["settled/step"].get<double>(), 60);
  EXPECT_EQ(conclusion["probes"]["carry_direction"]["figures"][0]["name"], "turning");

  // Afterwards it is the same; and with a run that was trained without the probe, in a pipeline, as well.
  const auto before = at.tree("run/probes");
  std::filesystem::remove_all(at.path("run/probes/carry_direction"));
  const Finished again = at.orrery({"probe", "run", "--jobs", "2"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(at.tree("run/probes"), before);
  ASSERT_EQ(train("plain").code, 0);
  at.write("p.toml", with_probe);
  ASSERT_EQ(at.orrery({"probe", "plain", "--pipeline", "p.toml"}).code, 0);
  EXPECT_EQ(at.tree("plain/probes"), before);
}

TEST_F(Contract, AProbeThatNeedsLabelsRefusesATaskWithoutThem) {
  at.write("c.toml", std::string("[task]\nname = \"modular_arithmetic\"\np = 7\n") + with_probe);
  const Finished done = at.orrery({"train", "c.toml", "--out", "run"});
  EXPECT_EQ(done.code, 2);
  EXPECT_NE(done.err.find("it needs the auxiliary labels \"carry\", and this task has none of that name"),
            std::string::npos)
      << done.err;
  EXPECT_FALSE(std::filesystem::exists(at.path("run")));
}

// On a task with one logit, whose loss is the hinge loss.
TEST_F(Contract, AProbeOfCrossEntropiesRefusesAnotherLoss) {
  at.write("c.toml",
           "[task]\nname = \"sparse_parity\"\nn = 6\nk = 2\nn_train = 20\nn_test = 20\n"
           "read_out = \"single_logit\"\n[model]\nd_model = 8\nd_head = 8\nd_mlp = 8\n"
           "[[probe]]\nname = \"induction_heads\"\n");
  const Finished done = at.orrery({"train", "c.toml", "--out", "run"});
  EXPECT_EQ(done.code, 2);
  EXPECT_NE(done.err.find("it measures cross-entropies, and the task is trained on the loss hinge"),
            std::string::npos)
      << done.err;
}

TEST_F(Contract, TheCheckLooksAtMetricsLabelsAndConclusions) {
  const auto checks = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"check", "--json"});
    const Finished done = at.orrery(arguments);
    EXPECT_EQ(done.code, 0) << done.out << done.err;
    Json by_name;
    const Json plugin = Json::parse(done.out);
    for (const Json& check : plugin["checks"]) by_name[check["name"].get<std::string>()] = check;
    return by_name;
  };
  const Json task = checks({"carry_addition"});
  EXPECT_EQ(task["its own metrics keep the contract"]["verdict"], "ok");
  EXPECT_EQ(task["its own metrics keep the contract"]["seen"], "2 metrics");
  const Json probe = checks({"carry_direction", "--task", "carry_addition"});
  EXPECT_EQ(probe["concludes from any curve"]["verdict"], "ok");
  EXPECT_EQ(probe["concludes from any curve"]["seen"], "from its records at 3 steps");
}

}  // namespace
}  // namespace orrery
