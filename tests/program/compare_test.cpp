// orrery compare over trained runs, and over runs whose findings are written by hand.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "run_program.h"
#include "sdk/files/tensors.h"

namespace orrery {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* compared_config = R"(
[task]
name = "modular_arithmetic"
p = 7
train_fraction = 0.6
[model]
kind = "mlp"
embedding = "untied"
d_embed = 12
d_mlp = 16
[train]
steps = 60
eval_every = 20
[checkpoints]
every = 30
)";

constexpr const char* copying = R"(
[task]
name = "repeated_subsequence"
[model]
n_layers = 2
attn_only = true
d_model = 8
n_heads = 2
d_head = 4
[train]
steps = 2
batch_size = 4
[checkpoints]
every = 1
)";

// Runs are trained once; a test that changes one works on a copy.
class Compare : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    at = new Workplace;
    at->write("small.toml", compared_config);
    at->write("copying.toml", copying);
    const auto train = [](const std::string& config, const std::string& run, const std::string& set) {
      const Finished done = at->orrery({"train", config, "--out", run, "--set", set});
      ASSERT_EQ(done.code, 0) << done.err;
    };
    train("small.toml", "add", "seeds.init=1");
    train("small.toml", "other", "seeds.init=2");
    train("small.toml", "subtract", "task.operation=subtract");
    train("small.toml", "wider", "task.p=11");
    train("copying.toml", "copying", "seeds.init=1");
  }
  static void TearDownTestSuite() { delete at; }

  static void copy(const std::string& from, const std::string& to) {
    fs::remove_all(at->path(to));
    fs::copy(at->path(from), at->path(to), fs::copy_options::recursive);
  }

  static json compare(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "compare");
    arguments.emplace_back("--json");
    const Finished done = at->orrery(arguments);
    EXPECT_EQ(done.code, 0) << done.err;
    return json::parse(done.out);
  }

  static void expect_refused(std::vector<std::string> arguments, const std::string& said) {
    arguments.insert(arguments.begin(), "compare");
    const Finished done = at->orrery(arguments);
    EXPECT_EQ(done.code, 2) << done.err;
    EXPECT_EQ(done.out, "");
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
  }

  // What a probe would have stored at the last step.
  static void write_results(const std::string& run, const std::string& probe, const json& scalars,
                            const json& findings) {
    const json said{{"scalars", scalars},
                    {"headlines", json::array()},
                    {"findings", findings},
                    {"figures", json::array()},
                    {"tensors", json::object()}};
    const json line{{"step", 60},
                    {"checkpoint", "checkpoints/step_00000060.safetensors"},
                    {"origin", {{"probe", probe}, {"parameters", json::object()}}},
                    {"probes", {{probe, said}}}};
    fs::create_directories(at->path(run) / "probes" / probe);
    std::ofstream(at->path(run) / "probes" / probe / "results.jsonl") << line.dump() << "\n";
  }

  static void write_edges(const std::string& run, const json& edges, const json& scores,
                          const json& circuit) {
    write_results(run, "edges", json::object(),
                  {{"edge_scores",
                    {{"kind", "edge_scores"},
                     {"edges", edges},
                     {"scores", scores},
                     {"whole", 10},
                     {"empty", 0},
                     {"n_edges", 8}}},
                   {"circuit", {{"kind", "circuit"}, {"edges", circuit}}}});
  }

  // Accuracies of left/embed, right/embed and result/neurons; from 0.9 on they are carried.
  static void write_carried(const std::string& run, const std::vector<double>& accuracies) {
    const std::vector<std::string> names{"left/embed", "right/embed", "result/neurons"};
    json scalars, findings{{"hypotheses", {{"kind", "hypotheses"}, {"names", names}}}};
    for (size_t i = 0; i < names.size(); ++i) {
      scalars["accuracy/" + names[i]] = accuracies[i];
      scalars["random/" + names[i]] = 0.25;
      if (accuracies[i] >= 0.9)
        findings["carries/" + names[i]] = {{"kind", "interchange"}, {"hypothesis", names[i]}};
    }
    write_results(run, "exchanges", scalars, findings);
  }

  // What a probe "waves" of the plugin "waves" would have stored.
  static void write_waves(const std::string& run, const json& frequencies, const json& shares, double loss,
                          const json& parameters = json::object()) {
    const json findings{
        {"key_frequencies",
         {{"kind", "key_frequencies"}, {"order", 7}, {"frequencies", frequencies}, {"shares", shares}}}};
    const json said{{"scalars", {{"explained", 0.75}, {"loss/test", loss}}},
                    {"headlines", {"explained", "loss/test"}},
                    {"findings", findings},
                    {"figures", json::array()},
                    {"tensors", json::object()}};
    const json line{{"step", 60},
                    {"checkpoint", "checkpoints/step_00000060.safetensors"},
                    {"origin", {{"probe", "waves"}, {"parameters", parameters}}},
                    {"probes", {{"waves", said}}}};
    fs::create_directories(at->path(run) / "probes/waves");
    std::ofstream(at->path(run) / "probes/waves/results.jsonl") << line.dump() << "\n";
  }

  static const json* find(const json& list, const std::string& key, const std::string& value) {
    for (const json& each : list)
      if (each[key] == value) return &each;
    return nullptr;
  }

  static Workplace* at;
};
Workplace* Compare::at = nullptr;

TEST_F(Compare, TheSameAlgorithmWithOtherFrequenciesIsAtNoDistance) {
  copy("add", "one");
  copy("other", "two");
  write_waves("one", {1, 3}, {0.2, 0.6}, 0.01);
  write_waves("two", {2, 1}, {0.6, 0.2}, 0.01);
  const json pair = compare({"one", "two"})["pairs"][0];
  EXPECT_NEAR(pair["distance"], 0, 1e-12);
  EXPECT_EQ(pair["n_features"], 4);
  EXPECT_EQ(pair["frequencies"][0]["common"], 1);
  EXPECT_NEAR(pair["frequencies"][0]["by_chance"], 4.0 / 3, 1e-12);
}

TEST_F(Compare, AnotherAlgorithmIsAtTheDistanceThatTheDocumentationSays) {
  copy("add", "one");
  copy("other", "two");
  write_waves("one", {1, 3}, {0.5, 0.5}, 1e-9);
  write_waves("two", json::array(), json::array(), 50);
  const json pair = compare({"one", "two"})["pairs"][0];
  // Shares 1 and their sum 1; explained 0 and the loss 1 (of guessing).
  EXPECT_NEAR(pair["distance"], (1 + 0.5) / 2, 1e-6);
}

TEST_F(Compare, MeasurementsWithOtherParametersAreNotMixed) {
  copy("add", "one");
  copy("other", "two");
  write_waves("one", {1}, {0.5}, 1);
  write_waves("two", {1}, {0.5}, 1, {{"rule", "embedding"}});
  const json pair = compare({"one", "two"})["pairs"][0];
  EXPECT_TRUE(pair["distance"].is_null());
  // A typed finding means the same whoever reports it; a scalar does not.
  EXPECT_EQ(pair["not_comparable"], "2 features were measured on both, fewer than 3");
  EXPECT_EQ((*find(pair["features"], "name", "key frequencies, by share (waves)"))["distance"], 0);
  EXPECT_EQ((*find(pair["features"], "name", "explained"))["why_not"], "measured with other parameters");
  const json table = compare({"one", "two"})["features"];
  EXPECT_EQ((*find(table, "name", "explained"))["absent"], json({nullptr, "other parameters"}));
}

TEST_F(Compare, SetsTheEdgesOfTwoCircuitsSideBySide) {
  copy("add", "one");
  copy("other", "two");
  write_edges("one", {"a -> neuron 0.0", "b -> neuron 0.0", "neuron 0.0 -> logits"}, {5, 4, 9.5},
              {"a -> neuron 0.0", "neuron 0.0 -> logits"});
  write_edges("two", {"a -> neuron 0.0", "b -> neuron 0.0", "neuron 0.0 -> logits"}, {0.05, 6, 9},
              {"b -> neuron 0.0", "neuron 0.0 -> logits"});
  const json found = compare({"one", "two"})["pairs"][0]["circuits"][0];
  EXPECT_EQ(found["common"], 1);
  EXPECT_NEAR(found["jaccard"], 1.0 / 3, 1e-12);
  ASSERT_EQ(found["edges"].size(), 3u);
  EXPECT_EQ(found["edges"][0]["edge"], "neuron 0.0 -> logits");
  EXPECT_EQ(found["edges"][0]["shares"], json({0.95, 0.9}));
  EXPECT_EQ(found["edges"][1]["in_circuit"], json({false, true}));
  const Finished text = at->orrery({"compare", "one", "two"});
  EXPECT_NE(text.out.find("1 of 2 and 2, by chance 0.5; Jaccard 0.33"), std::string::npos) << text.out;
}

TEST_F(Compare, SaysWhichVariablesBothCarry) {
  copy("add", "one");
  copy("other", "two");
  write_carried("one", {1, 0.95, 0.5});
  write_carried("two", {1, 0.25, 0.92});
  const json found = compare({"one", "two"})["pairs"][0]["carried"][0];
  EXPECT_EQ(found["both"], json({"left/embed"}));
  EXPECT_EQ(found["only_a"], json({"right/embed"}));
  EXPECT_EQ(found["only_b"], json({"result/neurons"}));
  EXPECT_EQ(found["hypotheses"][1]["accuracy"], json({0.95, 0.25}));
  EXPECT_EQ(found["hypotheses"][1]["random"], json({0.25, 0.25}));
  EXPECT_NEAR(found["mean_difference"], (0.7 + 0.42) / 3, 1e-12);
  EXPECT_EQ(found["largest_at"], "right/embed");
  const Finished text = at->orrery({"compare", "one", "two"});
  for (const char* said :
       {"1 of 3 hypotheses carried by both: left/embed; by one only: right/embed; by two only: "
        "result/neurons; accuracies differ by 37.3 % on average, most at right/embed: 70.0 %",
        "-70.0 %", "42.0 %"})
    EXPECT_NE(text.out.find(said), std::string::npos) << said << "\n" << text.out;
  // Other networks were not asked.
  EXPECT_TRUE(compare({"one", "add"})["pairs"][0]["carried"].empty());
}

TEST_F(Compare, LooksOnlyUnlessAskedToMeasure) {
  const auto before = at->tree("add");
  const json result = compare({"add", "other"});
  EXPECT_EQ(at->tree("add"), before);
  EXPECT_TRUE(result["pairs"][0]["distance"].is_null());
  const json* missing = find(result["missing"], "probe", "fourier_basis");
  ASSERT_NE(missing, nullptr);
  EXPECT_EQ((*missing)["runs"], json({0, 1}));
  EXPECT_EQ(find(result["missing"], "probe", "induction_heads"), nullptr);
  const Finished text = at->orrery({"compare", "add", "other"});
  EXPECT_NE(text.out.find("not comparable: no feature was measured on both"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("--probe-missing"), std::string::npos) << text.out;
}

TEST_F(Compare, MeasuresWhatIsMissingOnce) {
  copy("add", "one");
  copy("other", "two");
  const Finished measured = at->orrery({"compare", "one", "two", "--probe-missing", "--json"});
  ASSERT_EQ(measured.code, 0) << measured.err;
  // Of probes that refuse such runs nothing is said.
  for (const char* word : {"cannot be used", "carry", "hidden_progress", "induction_heads", "skip_trigrams"})
    EXPECT_EQ(measured.err.find(word), std::string::npos) << word << ": " << measured.err;
  const json result = json::parse(measured.out);
  const double distance = result["pairs"][0]["distance"];
  EXPECT_GT(distance, 0);
  EXPECT_LT(distance, 1);
  EXPECT_EQ(find(result["missing"], "probe", "fourier_basis"), nullptr);
  const json* row = find(result["features"], "name", "gini/W_E");
  ASSERT_NE(row, nullptr);
  EXPECT_FALSE((*row)["nulls"][0].is_null());
  const auto after = at->tree("one");
  const json again = compare({"one", "two", "--probe-missing"});
  EXPECT_EQ(at->tree("one"), after);
  EXPECT_EQ(again["pairs"][0], result["pairs"][0]);
  // The other way round it is the same distance.
  EXPECT_NEAR(compare({"two", "one"})["pairs"][0]["distance"], distance, 1e-12);
}

TEST_F(Compare, TheSameNetworkIsTheSameEverywhere) {
  copy("add", "twin");
  const json pair = compare({"add", "twin"})["pairs"][0];
  const json& sites = pair["activations"]["sites"];
  ASSERT_GE(sites.size(), 2u);
  for (const json& site : sites) {
    EXPECT_NEAR(site["cka"], 1, 1e-9) << site;
    EXPECT_NEAR(site["shared"], 1, 1e-9) << site;
    EXPECT_LT(site["cka_null"], 0.99) << site;
  }
  const json others = compare({"add", "other"});
  for (const json& site : others["pairs"][0]["activations"]["sites"]) EXPECT_LT(site["cka"], 0.99) << site;
}

TEST_F(Compare, SubtractionMeetsAdditionAfterRenaming) {
  // a - b is a + (-b): with the rows of its second embedding in the order of -b, the network that adds
  // subtracts.
  copy("subtract", "renamed");
  const fs::path checkpoint = "checkpoints/step_00000060.safetensors";
  NamedTensors weights = read_tensors(at->path("add") / checkpoint).tensors;
  bool found = false;
  for (auto& [name, value] : weights)
    if (name == "embed.W_E_b") {
      std::vector<int64_t> order;
      for (int64_t b = 0; b < value.size(0); ++b) order.push_back(b < 7 ? (7 - b) % 7 : b);
      value = value.index_select(0, torch::tensor(order, torch::kInt64)).contiguous();
      found = true;
    }
  ASSERT_TRUE(found);
  write_tensors(at->path("renamed") / checkpoint, weights);
  const json activations = compare({"add", "renamed"})["pairs"][0]["activations"];
  EXPECT_EQ(activations["inputs"], "the 49 pairs of operands, by index in the cyclic group");
  for (const json& site : activations["sites"]) EXPECT_NEAR(site["cka"], 1, 1e-6) << site;
  const json before = compare({"add", "subtract"});
  for (const json& site : before["pairs"][0]["activations"]["sites"]) EXPECT_LT(site["cka"], 0.99) << site;
}

TEST_F(Compare, SaysWhyThereIsNothingToCompare) {
  const json result = compare({"add", "wider", "copying"});
  EXPECT_EQ(result["pairs"][0]["activations"]["why_not"], "cyclic groups of orders 7 and 11");
  EXPECT_EQ(result["pairs"][1]["activations"]["why_not"],
            "their inputs mean different things: modular_arithmetic and repeated_subsequence");
  EXPECT_EQ(result["pairs"][1]["not_comparable"], "no feature was measured on both");
  EXPECT_TRUE(result["tree"].empty());
  EXPECT_EQ(result["order"], json({0, 1, 2}));
}

TEST_F(Compare, ShowsWhereConfigsDiffer) {
  const json result = compare({"add", "wider", "--no-activations"});
  const json* p = find(result["config"], "key", "task.p");
  ASSERT_NE(p, nullptr);
  EXPECT_EQ((*p)["values"], json({"7", "11"}));
  EXPECT_EQ(find(result["config"], "key", "model.d_mlp"), nullptr);
  EXPECT_FALSE(result["pairs"][0].contains("activations"));
}

TEST_F(Compare, WrongRequestsAreAnsweredKindly) {
  expect_refused({"add"}, "comparing needs two runs or more");
  expect_refused({"add", "other", "./add"}, "are the same run");
  expect_refused({"add", "nowhere"}, "nowhere");
  expect_refused({"add", "other", "--step", "57"}, "there is no checkpoint of step 57");
  expect_refused({"add", "other", "--step", "grokked"}, "never reaches 99 % test accuracy");
  expect_refused({"add", "other", "--hook", "*.hook_pst"}, "hook_pst");
  copy("add", "bare");
  fs::remove_all(at->path("bare/checkpoints"));
  expect_refused({"add", "bare"}, "the run has no checkpoints");
}

TEST_F(Compare, DamagedResultsAreNamed) {
  copy("add", "damaged");
  fs::create_directories(at->path("damaged/probes/waves"));
  at->write("damaged/probes/waves/results.jsonl", "{\"step\": 60, \"probes\"\n");
  const Finished done = at->orrery({"compare", "add", "damaged"});
  EXPECT_EQ(done.code, 1) << done.out;
  EXPECT_NE(done.err.find("results.jsonl"), std::string::npos) << done.err;
}

}  // namespace
}  // namespace orrery
