// orrery ablate, patch, circuit and interchange over a trained run.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "run_program.h"

namespace orrery {
namespace {

using nlohmann::json;

constexpr const char* ablated_config = R"(
[task]
name = "modular_arithmetic"
p = 11
train_fraction = 0.5
[model]
d_model = 16
n_heads = 2
d_head = 8
d_mlp = 32
[train]
steps = 600
[checkpoints]
every = 300
)";

// A run is trained once, and read by every test.
class Interventions : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    at = new Workplace;
    at->write("small.toml", ablated_config);
    ASSERT_EQ(at->orrery({"train", "small.toml", "--out", "run"}).code, 0);
  }
  static void TearDownTestSuite() { delete at; }

  static std::vector<json> lines(const std::vector<std::string>& arguments) {
    const Finished done = at->orrery(arguments);
    EXPECT_EQ(done.code, 0) << done.err;
    std::vector<json> all;
    std::istringstream out(done.out);
    for (std::string line; std::getline(out, line);) all.push_back(json::parse(line));
    return all;
  }

  static void expect_refused(const std::vector<std::string>& arguments, const std::string& said) {
    const Finished done = at->orrery(arguments);
    EXPECT_EQ(done.code, 2) << done.err;
    EXPECT_EQ(done.out, "");
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
  }

  static Workplace* at;
};
Workplace* Interventions::at = nullptr;

TEST_F(Interventions, TheFirstLineIsTheNetworkAsItIs) {
  const json last = json::parse(at->lines("run/metrics.jsonl").back());
  const auto effects = lines({"ablate", "run", "--json"});
  ASSERT_EQ(effects.size(), 5u);  // as it is, two heads, the neurons, all of these
  EXPECT_TRUE(effects[0]["component"].is_null());
  EXPECT_NEAR(effects[0]["loss"], last["test/loss"], 1e-5);
  EXPECT_NEAR(effects[0]["accuracy"], last["test/accuracy"], 1e-9);
  EXPECT_EQ(effects[1]["component"], "head 0.0");
  EXPECT_EQ(effects[3]["component"], "blocks.0.mlp.hook_post");
  for (size_t i = 1; i < effects.size(); ++i)
    EXPECT_NEAR(effects[i]["change"]["loss"].get<double>(),
                effects[i]["loss"].get<double>() - effects[0]["loss"].get<double>(), 1e-12);
}

TEST_F(Interventions, OnTheTrainingSetEveryModeBreaksWhatWasLearnedByHeart) {
  for (const std::string mode : {"zero", "mean", "resample"}) {
    const auto effects =
        lines({"ablate", "run", "--json", "--inputs", "train", "--mode", mode, "--neuron", "0.0-31"});
    ASSERT_EQ(effects.size(), 2u);
    EXPECT_GT(effects[0]["accuracy"], 0.99);
    EXPECT_LT(effects[1]["accuracy"], 0.9) << mode;
  }
}

TEST_F(Interventions, NothingInTheRunChanges) {
  const auto before = at->tree("run");
  ASSERT_EQ(at->orrery({"ablate", "run"}).code, 0);
  ASSERT_EQ(at->orrery({"patch", "run", "--from-step", "0"}).code, 0);
  ASSERT_EQ(at->orrery({"circuit", "run"}).code, 0);
  EXPECT_EQ(at->tree("run"), before);
}

TEST_F(Interventions, PatchingMovesTheAnswer) {
  // Two inputs that differ in the first operand only; what differs enters at position 0.
  const auto moved = lines({"patch", "run", "--json", "--input", "3 4 11", "--source", "8,4,11"});
  std::map<std::string, double> by_name;
  for (const json& line : moved) by_name[line["component"]] = line["moved"];
  EXPECT_NEAR(by_name.at("blocks.0.hook_resid_pre at position 0"), 1, 1e-5);
  EXPECT_NEAR(by_name.at("blocks.0.hook_resid_pre at position 1"), 0, 1e-5);
  EXPECT_EQ(by_name.size(), 6u);
  const auto all = lines({"patch", "run", "--json", "--input", "3 4 11", "--source", "8 4 11", "--hook",
                          "blocks.0.hook_resid_post"});
  EXPECT_NEAR(all.at(2)["moved"], 1, 1e-5);  // position 2 is read out
}

TEST_F(Interventions, BetweenCheckpointsTheSameOneChangesNothing) {
  for (const json& line : lines({"patch", "run", "--json", "--from-step", "600"}))
    if (!line["component"].is_null()) {
      EXPECT_NEAR(line["change"]["loss"], 0, 1e-9);
    }
  const auto effects = lines({"patch", "run", "--json", "--from-step", "0", "--inputs", "train"});
  EXPECT_GT(effects.back()["change"]["loss"], 1);
}

TEST_F(Interventions, InterchangesSayWhereVariablesAre) {
  // All waves of mod 11.
  std::vector<std::string> request{"interchange", "run", "--json", "--pairs", "300"};
  for (const char* k : {"1", "2", "3", "4", "5"}) request.insert(request.end(), {"--frequency", k});
  const auto tested = lines(request);
  std::map<std::string, json> by_name;
  for (const json& line : tested) by_name[line["hypothesis"]] = line;
  const json& logits = by_name.at("result/logits");
  EXPECT_EQ(logits["dimension"], 10);
  EXPECT_TRUE(logits["other_functions"].is_null());  // there are no other frequencies
  EXPECT_EQ(by_name.at("left/hook_embed")["step"], 600);
  for (const auto& [name, line] : by_name) EXPECT_GE(line["accuracy"], 0.0) << name;
  // Where a is embedded its waves are all that tells one a from another: the network sees another input.
  EXPECT_LT(by_name.at("left/hook_embed")["kept"], 0.9);
  const auto again = lines(request), one = lines({"interchange", "run", "--json", "--frequency", "2",
                                                  "--step", "0", "--hypothesis", "result/*"});
  EXPECT_EQ(again, tested);
  for (const json& line : one) EXPECT_EQ(line["variable"], "result");
}

TEST_F(Interventions, CircuitsOfTheTrainingSetAreFaithful) {
  const std::vector<std::string> asked = {"circuit", "run",        "--json", "--inputs",
                                          "train",   "--examples", "40"};
  const auto edges = lines(asked);
  ASSERT_EQ(edges.size(), 1u + 2 * 2 * 3 + 4 + 5);  // two heads with three inputs, the MLP, the logits
  const json& found = edges[0];
  EXPECT_TRUE(found["edge"].is_null());
  EXPECT_EQ(found["examples"], 40);
  EXPECT_GT(found["whole"], 1);
  EXPECT_LT(found["empty"], -1);
  EXPECT_GE(found["faithfulness"], 0.95);
  int inside = 0;
  for (size_t i = 1; i < edges.size(); ++i) {
    inside += edges[i]["in_circuit"].get<bool>();
    EXPECT_NEAR(
        edges[i]["share"].get<double>() * (found["whole"].get<double>() - found["empty"].get<double>()),
        edges[i]["score"].get<double>(), 1e-9);
    if (i > 1) {
      EXPECT_LE(std::abs(edges[i]["score"].get<double>()), std::abs(edges[i - 1]["score"].get<double>()));
    }
  }
  EXPECT_EQ(found["circuit"], inside);
  EXPECT_EQ(lines(asked), edges);
  const Finished shown = at->orrery({"circuit", "run", "--no-estimates"});
  EXPECT_NE(shown.out.find("smallest circuit: "), std::string::npos);
  for (const char* part : {"0/21  edges", "  random sets"})  // how far it is
    EXPECT_NE(shown.err.find(part), std::string::npos) << shown.err;
  EXPECT_NE(at->orrery({"circuit", "run", "--method", "acdc"}).out.find("ACDC's circuit: "),
            std::string::npos);
}

TEST_F(Interventions, WrongRequestsAreAnsweredKindly) {
  expect_refused({"circuit", "run", "--metric", "accuracy"}, "accuracy");
  expect_refused({"circuit", "run", "--step", "57"}, "there is no checkpoint of step 57");
  expect_refused({"ablate", "run", "--head", "0.7"}, "layer 0 has heads 0 to 1");
  expect_refused({"ablate", "run", "--head", "first"}, "expected LAYER.NUMBER");
  expect_refused({"ablate", "run", "--neuron", "0.9-3"}, "expected LAYER.NUMBER");
  expect_refused({"ablate", "run", "--direction", "d.safetensors"}, "--direction needs --at");
  expect_refused({"ablate", "run", "--step", "57"}, "there is no checkpoint of step 57");
  expect_refused({"ablate", "run", "--mode", "median"}, "median");
  expect_refused({"patch", "run"}, "give either --input and --source, or --from-step");
  expect_refused({"patch", "run", "--input", "3 4 11", "--source", "3 4 11"},
                 "--source: the network of step 600 says ");
  expect_refused({"patch", "run", "--input", "3 4 12", "--source", "8 4 11"}, "\"12\" is not a token");
  expect_refused({"patch", "run", "--input", "3 4", "--source", "8 4 11"}, "expected 3 tokens, got 2");
  expect_refused({"interchange", "run", "--frequency", "2", "--hypothesis", "sum/*"},
                 "no hypothesis is called");
  expect_refused({"interchange", "run", "--frequency", "7"}, "7 does not exist");
  expect_refused({"interchange", "run", "--directions", "d.safetensors"}, "--directions needs --site");
}

}  // namespace
}  // namespace orrery
