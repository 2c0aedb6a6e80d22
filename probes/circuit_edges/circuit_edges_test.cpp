// The probe on networks whose circuit is known: what it records, and when it says that an edge appears.
#include <gtest/gtest.h>
#include <orrery/circuit.h>
#include <orrery/error.h>
#include <tests/support/induction_circuit.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <set>

namespace orrery::testing {
namespace {

using Names = std::set<std::string>;

Names edges_of(const Recorder& recorder) {
  const auto edges = std::get<std::vector<std::string>>(finding(recorder, "circuit").fields.at("edges"));
  return {edges.begin(), edges.end()};
}

Recorder measured(ModelOnGrid& seen, const std::string& json) {
  Recorder recorder;
  make_probe(json)->measure(seen.observe(), recorder);
  return recorder;
}

// Squares of waves (set_constructed_solution), with one neuron that nobody reads.
ModelOnGrid five_of_six_neurons() {
  MlpConfig config{.d_embed = 12, .d_mlp = 5, .act_fn = MlpConfig::ActFn::square};
  ModelOnGrid small = constructed_mlp(config, 11);
  config.d_mlp = 6;
  CyclicTask task = addition(11);
  auto model = make_mlp(config, task.spec, make_generator(1));
  const torch::NoGradGuard no_grad;
  model->weight("embed.W_E").copy_(small.model->weight("embed.W_E"));
  model->weight("mlp.W_in").narrow(1, 0, 5).copy_(small.model->weight("mlp.W_in"));
  model->weight("mlp.W_out").zero_().narrow(0, 0, 5).copy_(small.model->weight("mlp.W_out"));
  return {std::move(task), std::move(model)};
}

TEST(CircuitEdges, FindsTheNeuronsThatWereBuilt) {
  ModelOnGrid seen = five_of_six_neurons();
  const Recorder recorder = measured(seen, R"({"inputs": "grid", "examples": 100, "share": 0.999999})");
  Names known;
  for (const std::string n : {"0.0", "0.1", "0.2", "0.3", "0.4"}) {
    known.insert("a -> neuron " + n);
    known.insert("b -> neuron " + n);
    known.insert("neuron " + n + " -> logits");
  }
  EXPECT_EQ(edges_of(recorder), known);
  EXPECT_EQ(scalar(recorder, "circuit/n_edges"), 15);
  EXPECT_EQ(scalar(recorder, "n_edges"), 18);
  EXPECT_NEAR(scalar(recorder, "circuit/faithfulness"), 1, 1e-9);
  EXPECT_NEAR(scalar(recorder, "circuit/completeness"), 0, 1e-9);
  EXPECT_LT(scalar(recorder, "circuit/random"), 0.8);
  EXPECT_GT(scalar(recorder, "area"), scalar(recorder, "area/random"));
  EXPECT_GT(scalar(recorder, "metric/clean"), 1);
  EXPECT_LT(scalar(recorder, "metric/corrupted"), -1);
  EXPECT_EQ(recorder.record().headlines, (std::vector<std::string>{"circuit/n_edges", "area"}));
}

TEST(CircuitEdges, RecordsWhatTheHeaderMeasures) {
  ModelOnGrid seen =
      random_transformer({.n_layers = 1, .d_model = 12, .n_heads = 2, .d_head = 6, .d_mlp = 8}, 7);
  const Observation observation = seen.observe();
  for (const std::string metric : {"logit_difference", "logit_above_mean", "loss"}) {
    const Recorder recorder =
        measured(seen, R"({"inputs": "grid", "examples": 20, "seed": 3, "metric": ")" + metric + "\"}");
    auto rng = make_generator(3);
    const auto [clean, corrupted] = circuit_examples(observation, 20, rng);
    EXPECT_EQ(clean.size(), 20);
    const CircuitPatching patching(CircuitGraph(*seen.model, seen.task.spec, clean.tokens), clean.tokens,
                                   corrupted.tokens);
    const auto kind = metric == "loss"               ? CircuitMetric::loss
                      : metric == "logit_above_mean" ? CircuitMetric::logit_above_mean
                                                     : CircuitMetric::logit_difference;
    const Objective objective = circuit_metric(kind, seen.task.spec, clean, corrupted);
    const torch::Tensor exact = exact_edge_scores(patching, objective);
    EXPECT_TRUE(tensor(recorder, "scores").equal(exact));
    EXPECT_TRUE(tensor(recorder, "nodes").equal(exact_node_scores(patching, objective)));
    EXPECT_NEAR(scalar(recorder, "correlation/eap"),
                agreement(eap_scores(patching, objective), exact).correlation, 1e-12);
    EXPECT_NEAR(scalar(recorder, "rank/eap_ig"),
                agreement(eap_ig_scores(patching, objective), exact).rank_correlation, 1e-12);
  }
  const Recorder eap =
      measured(seen, R"({"inputs": "grid", "examples": 20, "method": "eap", "estimates": false})");
  EXPECT_FALSE(has_scalar(eap, "correlation/eap"));
}

// Partners that differ in their labels only.
TEST(CircuitEdges, NoCircuitIsSmallestWhereNothingIsCorrupted) {
  ModelOnGrid seen = random_mlp({.d_embed = 12, .d_mlp = 6}, 11);
  OnDemand same;
  same.corrupted = [](const Batch& clean, const torch::Generator&) {
    Batch partners = clean;
    partners.labels = (clean.labels + 1).remainder(11);
    return partners;
  };
  Observation observation = seen.observe();
  observation.on_demand = &same;
  Recorder recorder;
  make_probe(R"({"inputs": "grid", "examples": 20})")->measure(observation, recorder);
  EXPECT_EQ(scalar(recorder, "metric/clean"), scalar(recorder, "metric/corrupted"));
  EXPECT_TRUE(std::isnan(scalar(recorder, "circuit/n_edges")));
  EXPECT_TRUE(std::isnan(scalar(recorder, "circuit/faithfulness")));
  EXPECT_THROW(finding(recorder, "circuit"), std::exception);
}

TEST(CircuitEdges, TheSeedDecides) {
  ModelOnGrid seen =
      random_transformer({.n_layers = 1, .d_model = 12, .n_heads = 2, .d_head = 6, .d_mlp = 8}, 7);
  const auto scores = [&](const std::string& seed) {
    return tensor(
        measured(seen, R"({"inputs": "grid", "examples": 20, "estimates": false, "seed": )" + seed + "}"),
        "scores");
  };
  EXPECT_TRUE(scores("1").equal(scores("1")));
  EXPECT_FALSE(scores("1").equal(scores("2")));
}

TEST(CircuitEdges, ARandomNetworkIsNoSmallCircuit) {
  ModelOnGrid built = five_of_six_neurons();
  ModelOnGrid random = random_mlp({.d_embed = 12, .d_mlp = 6, .act_fn = MlpConfig::ActFn::square}, 11);
  const std::string json = R"({"inputs": "grid", "examples": 100})";
  EXPECT_GT(scalar(measured(built, json), "metric/clean"),
            20 * std::abs(scalar(measured(random, json), "metric/clean")));
}

const Figure& figure(const Recorder& recorder, const std::string& name) {
  for (const Figure& each : recorder.record().figures)
    if (each.name == name) return each;
  throw std::out_of_range(name);
}

TEST(CircuitEdges, DrawsEdgesAsThickAsTheyMatter) {
  ModelOnGrid seen =
      random_transformer({.n_layers = 1, .d_model = 12, .n_heads = 2, .d_head = 6, .d_mlp = 8}, 7);
  const Recorder recorder = measured(seen, R"({"inputs": "grid", "examples": 20, "max_drawn": 10})");
  const Figure& graph = figure(recorder, "graph");
  EXPECT_LE(graph.traces.size(), 11u);
  ASSERT_GE(graph.traces.size(), 4u);
  for (size_t i = 1; i + 1 < graph.traces.size(); ++i)
    EXPECT_LE(graph.traces[i].x.size(0), graph.traces[i - 1].x.size(0));
  EXPECT_EQ(graph.traces.back().name, "");  // the names of the nodes
  EXPECT_EQ(graph.traces.back().labels,
            (std::vector<std::string>{"embed", "pos_embed", "head 0.0", "head 0.1", "mlp 0", "logits"}));
  EXPECT_EQ(graph.traces[0].x.size(0), 24);  // to and fro, as often as for the largest
  EXPECT_EQ(graph.x_ticks, (std::vector<std::string>{"input", "head 0", "mlp 0", "logits"}));
  for (const Figure& each : recorder.record().figures) EXPECT_EQ(figure_fault(each), "");
  const torch::Tensor z = figure(recorder, "edge_scores").traces[0].z;
  EXPECT_EQ(z.size(0), 8);  // two heads with three parts, mlp, logits
  EXPECT_EQ(z.size(1), 5);
  // The first row is a query of a head, which reads embeddings only.
  EXPECT_TRUE(z[0].narrow(0, 2, 3).isnan().all().item<bool>());
  EXPECT_FALSE(z[7].isnan().any().item<bool>());
}

Finding scores_at(std::vector<double> scores, double whole) {
  return {"edge_scores",
          "edge_scores",
          {{"edges", std::vector<std::string>{"embed -> mlp 0", "mlp 0 -> logits"}},
           {"scores", std::move(scores)},
           {"whole", whole},
           {"empty", -10.0},
           {"n_edges", int64_t{2}}}};
}

TEST(CircuitEdges, AnEdgeAppearsWhenItStaysAboveItsShare) {
  // Of 20, the fall of the last metric: the first passes 2 at step 100, falls below at 200 and stays from 300
  // on; the second is there from the beginning.
  const FindingSeries series{"edge_scores",
                             {0, 100, 200, 300, 400},
                             {scores_at({0.1, -4}, 1), scores_at({3, -4}, 2), scores_at({1, -5}, 4),
                              scores_at({2.5, -9}, 9), scores_at({8, -12}, 10)}};
  Recorder recorder;
  make_probe()->conclude({.findings = {series}}, recorder);
  EXPECT_EQ(scalar(recorder, "appears/embed -> mlp 0"), 300);
  EXPECT_EQ(scalar(recorder, "appears/mlp 0 -> logits"), 0);
  EXPECT_EQ(scalar(recorder, "n_appeared"), 2);
  EXPECT_EQ(std::get<int64_t>(finding(recorder, "appears/embed -> mlp 0").fields.at("step")), 300);
  EXPECT_NEAR(std::get<double>(finding(recorder, "appears/embed -> mlp 0").fields.at("share")), 0.4, 1e-12);
  Recorder strict;
  make_probe(R"({"appears": 0.5})")->conclude({.findings = {series}}, strict);
  EXPECT_FALSE(has_scalar(strict, "appears/embed -> mlp 0"));
  EXPECT_EQ(scalar(strict, "appears/mlp 0 -> logits"), 400);
  Recorder nothing;
  make_probe()->conclude({}, nothing);
  EXPECT_TRUE(nothing.record().scalars.empty());
}

TEST(CircuitEdges, RefusesNetworksWithoutAGraph) {
  const TaskSpec spec = addition(7).spec;
  TransformerConfig config{.n_layers = 1, .d_model = 12, .n_heads = 2, .d_head = 6, .d_mlp = 8};
  const auto reason = [&](const std::string& json) {
    return make_probe(json)->needs().refusal(*make_transformer(config, spec, make_generator(1)), spec);
  };
  EXPECT_EQ(reason("{}"), "");
  EXPECT_EQ(reason(R"({"nodes": "neurons"})"), "");
  config.normalization_type = TransformerConfig::Normalization::LN;
  EXPECT_EQ(reason("{}"), "");
  EXPECT_NE(reason(R"({"nodes": "neurons"})").find("normalisation"), std::string::npos);
  config.positional_embedding_type = TransformerConfig::PositionalEmbedding::rotary;
  EXPECT_NE(reason("{}").find("rotary"), std::string::npos);
  EXPECT_EQ(make_probe(R"({"inputs": "train"})")->needs().inputs, Inputs::train);
  EXPECT_THROW(make_probe(R"({"method": "guess"})"), Error);
}

}  // namespace
}  // namespace orrery::testing
