// Circuits of networks that were written down, so that their edges are known; and what curves and nulls are.
#include <gtest/gtest.h>
#include <orrery/circuit.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <tests/support/hand_built.h>
#include <tests/support/induction_circuit.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace orrery {
namespace {

using torch::Tensor;
using Names = std::set<std::string>;

// The share of pairs of an edge of the circuit and one that is none in which the former has the larger score.
double roc_auc(const CircuitGraph& graph, const Tensor& scores, const Names& known) {
  double won = 0, pairs = 0;
  for (int64_t i = 0; i < graph.n_edges(); ++i)
    for (int64_t j = 0; j < graph.n_edges(); ++j) {
      if (!known.count(graph.edges()[i].name) || known.count(graph.edges()[j].name)) continue;
      const double x = std::abs(scores[i].item<double>()), y = std::abs(scores[j].item<double>());
      won += x > y ? 1 : x == y ? 0.5 : 0;
      ++pairs;
    }
  return won / pairs;
}

Names names_in(const CircuitGraph& graph, const Circuit& circuit) {
  Names names;
  for (const int64_t edge : circuit.edges) names.insert(graph.edges()[edge].name);
  return names;
}

// A hand-built network with examples whose circuit is `known`.
struct Known {
  TaskSpec spec;
  std::unique_ptr<Model> model;
  Batch clean, corrupted;
  Names known;
  std::unique_ptr<CircuitPatching> patching;
  Objective metric;

  void make(const CircuitOptions& options = {}) {
    patching = std::make_unique<CircuitPatching>(CircuitGraph(*model, spec, clean.tokens, options),
                                                 clean.tokens, corrupted.tokens);
    metric = circuit_metric(CircuitMetric::logit_difference, spec, clean, corrupted);
  }
  const CircuitGraph& graph() const { return patching->graph(); }
};

// BOS, eight different tokens, and the same again: the last but one is to be followed by what followed it. In
// partners the second stretch is turned by some places, so that heads have to look elsewhere.
Known induction_pair() {
  const testing::InductionCircuit circuit{.vocabulary = 16, .n_ctx = 17};
  Known known{.spec = circuit.spec(),
              .model = circuit.make(),
              .clean = {},
              .corrupted = {},
              .known = {},
              .patching = {},
              .metric = {}};
  known.spec.read_out = {15};
  auto rng = make_generator(7);
  const auto batch = [&](bool turned) {
    std::vector<Tensor> rows, labels;
    for (int64_t i = 0; i < 40; ++i) {
      const int64_t turn = turned ? 1 + i % 6 : 0;
      const Tensor tokens = torch::randperm(16, rng, torch::kInt64).narrow(0, 0, 8);
      rows.push_back(torch::cat({torch::tensor({16}), tokens, tokens.roll(turn)}));
      labels.push_back(tokens.narrow(0, 7 - turn, 1));  // position 15 has tokens[6 - turn]
    }
    return Batch{.tokens = torch::stack(rows), .labels = torch::stack(labels)};
  };
  known.clean = batch(false);
  known.corrupted = batch(true);
  // What the corrupted input changes: positions are the same, so edges of pos_embed carry nothing.
  known.known = {"embed -> head 0.0 v", "head 0.0 -> head 1.0 k", "embed -> head 1.0 q",
                 "embed -> head 1.0 v", "head 1.0 -> logits"};
  known.make();
  return known;
}

// "c ... END -> c": one head attends to the token that is a class, and copies it. A second head and an MLP
// are random, but nothing reads what they write.
Known skip_trigram() {
  Known known;
  known.spec.d_vocab = 10;
  known.spec.d_vocab_out = 5;
  known.spec.n_ctx = 4;
  known.spec.read_out = {3};
  TransformerConfig config;
  config.d_model = 20;
  config.n_heads = 2;
  config.d_head = 5;
  config.d_mlp = 6;
  known.model = make_transformer(config, known.spec, make_generator(2));
  const torch::NoGradGuard no_grad;
  const auto zeroed = [&](const std::string& name) {
    Tensor weight = known.model->weight(name);
    return weight.zero_();
  };
  zeroed("embed.W_E").narrow(1, 0, 10).copy_(torch::eye(10));  // then 5 for classes; the last 5 nobody reads
  zeroed("pos_embed.W_pos");
  zeroed("unembed.W_U").narrow(0, 10, 5).copy_(torch::eye(5));
  Tensor W_Q = known.model->weight("blocks.0.attn.W_Q")[0].zero_(),
         W_K = known.model->weight("blocks.0.attn.W_K")[0].zero_();
  W_Q[9][0] = 30 * std::sqrt(5.0);  // END
  W_K.narrow(0, 0, 5).select(1, 0).fill_(1);
  known.model->weight("blocks.0.attn.W_V")[0].zero_().narrow(0, 0, 5).copy_(torch::eye(5));
  known.model->weight("blocks.0.attn.W_O")[0].zero_().narrow(1, 10, 5).copy_(6 * torch::eye(5));
  known.model->weight("blocks.0.attn.W_O")[1].narrow(1, 0, 15).zero_();
  known.model->weight("blocks.0.mlp.W_out").narrow(1, 0, 15).zero_();
  auto rng = make_generator(3);
  const auto batch = [&](int64_t n) {
    const Tensor c = torch::randint(5, {n}, rng, torch::kInt64),
                 at = torch::randint(3, {n}, rng, torch::kInt64);
    Tensor tokens = torch::randint(5, 9, {n, 4}, rng, torch::kInt64);
    tokens.select(1, 3).fill_(9);
    tokens.scatter_(1, at.unsqueeze(1), c.unsqueeze(1));
    return Batch{.tokens = tokens, .labels = c.unsqueeze(1)};
  };
  known.clean = batch(50);
  known.corrupted = batch(50);
  // Where the class stands elsewhere in the partner, the key has to be clean too. END is there in both.
  known.known = {"embed -> head 0.0 k", "embed -> head 0.0 v", "head 0.0 -> logits"};
  known.make();
  return known;
}

// The constructed Fourier network (set_constructed_solution) of five neurons, beside six dead ones: three
// that read and say nothing, three that say something constant.
Known fourier() {
  Known known;
  testing::CyclicTask task = testing::addition(11);
  known.spec = task.spec;
  MlpConfig config{.d_embed = 12, .d_mlp = 5, .act_fn = MlpConfig::ActFn::square};
  const auto small = make_mlp(config, task.spec, make_generator(1));
  set_constructed_solution(*small, task.spec);
  config.d_mlp = 11;
  known.model = make_mlp(config, task.spec, make_generator(1));
  const torch::NoGradGuard no_grad;
  known.model->weight("embed.W_E").copy_(small->weight("embed.W_E"));
  Tensor W_in = known.model->weight("mlp.W_in"), W_out = known.model->weight("mlp.W_out");
  W_in.narrow(1, 0, 5).copy_(small->weight("mlp.W_in"));
  W_out.narrow(0, 0, 5).copy_(small->weight("mlp.W_out"));
  W_in.narrow(1, 8, 3).zero_();
  W_out.narrow(0, 5, 3).zero_();
  known.clean = task.split.train;
  known.corrupted = corrupted_by_default(known.clean, task.split, task.structure, make_generator(5));
  for (int64_t neuron = 0; neuron < 5; ++neuron)
    for (const std::string edge : {"a -> neuron 0.", "b -> neuron 0."}) {
      known.known.insert(edge + std::to_string(neuron));
      known.known.insert("neuron 0." + std::to_string(neuron) + " -> logits");
    }
  known.make();
  return known;
}

std::vector<std::pair<std::string, Known>> all_known() {
  std::vector<std::pair<std::string, Known>> all;
  all.emplace_back("induction", induction_pair());
  all.emplace_back("skip trigram", skip_trigram());
  all.emplace_back("Fourier", fourier());
  return all;
}

TEST(FoundCircuits, AreTheEdgesThatWereBuiltAndNoOthers) {
  for (const auto& [name, known] : all_known()) {
    SCOPED_TRACE(name);
    const CircuitPatching& patching = *known.patching;
    const Tensor exact = exact_edge_scores(patching, known.metric);
    EXPECT_EQ(roc_auc(known.graph(), exact, known.known), 1);
    for (int64_t e = 0; e < exact.size(0); ++e)
      if (!known.known.count(known.graph().edges()[e].name)) {
        EXPECT_LT(std::abs(exact[e].item<double>()), 1e-9) << known.graph().edges()[e].name;
      }
    const auto order = by_importance(exact);
    const auto sizes = circuit_sizes(known.graph().n_edges());
    const auto built = static_cast<int64_t>(known.known.size());
    const Circuit circuit = smallest_circuit(patching, known.metric, order, sizes, 0.999999);
    EXPECT_EQ(names_in(known.graph(), circuit), known.known);
    EXPECT_NEAR(circuit.faithfulness, 1, 1e-9);
    EXPECT_NEAR(circuit.completeness, 0, 1e-9);
    EXPECT_EQ(names_in(known.graph(), acdc(patching, known.metric, 1e-6)), known.known);
    // All of the curve is in the built edges.
    const CircuitCurve curve = circuit_curve(patching, known.metric, order, sizes);
    for (size_t i = 0; i < sizes.size(); ++i)
      if (sizes[i] >= built) {
        EXPECT_NEAR(curve.faithfulness[i], 1, 1e-9);
      }
    const Tensor random = random_faithfulness(patching, known.metric, {built}, 20, make_generator(9));
    EXPECT_LT(random.mean().item<double>(), 0.4);
  }
}

TEST(FoundCircuits, EstimatesRankTheBuiltEdgesFirst) {
  // Where attention is saturated the slope is 0, and EAP misses edges; along the line between the inputs it
  // is not. Fourier has no attention.
  const Known network = fourier();
  EXPECT_EQ(roc_auc(network.graph(), eap_scores(*network.patching, network.metric), network.known), 1);
  EXPECT_EQ(roc_auc(network.graph(), eap_ig_scores(*network.patching, network.metric), network.known), 1);
  const Known pair = induction_pair();
  const Tensor eap = eap_scores(*pair.patching, pair.metric);
  EXPECT_LT(std::abs(eap[pair.graph().edge("head 0.0 -> head 1.0 k")].item<double>()), 1e-3);
  EXPECT_EQ(roc_auc(pair.graph(), eap_ig_scores(*pair.patching, pair.metric, 20), pair.known), 1);
}

TEST(FoundCircuits, ARandomNetworkHasNoSmallOne) {
  Known known = skip_trigram();
  TransformerConfig config = *known.model->transformer_config();
  known.model = make_transformer(config, known.spec, make_generator(11));
  known.make();
  const auto order = by_importance(exact_edge_scores(*known.patching, known.metric));
  const auto sizes = circuit_sizes(known.graph().n_edges());
  EXPECT_GT(smallest_circuit(*known.patching, known.metric, order, sizes, 0.999).edges.size(), 6u);
}

// Five neurons, of which the first lowers the metric: 0.4 + 0.4 + 0.4 + 0.3 - 0.5 = 1. The fourth and the
// last can be spared only when the first has been.
TEST(FoundCircuits, HaveNoEdgeThatCanBeSpared) {
  Known known;
  known.spec = {.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 2, .read_out = {1}};
  known.model = make_mlp({.embedding = MlpConfig::Embedding::untied,
                          .collapse = MlpConfig::Collapse::both,
                          .d_mlp = 5,
                          .act_fn = MlpConfig::ActFn::identity},
                         known.spec, make_generator(1));
  const torch::NoGradGuard no_grad;
  for (NamedWeight& weight : known.model->weights()) weight.value.zero_();
  known.model->weight("mlp.W_in_a")[1].fill_(1);
  known.model->weight("mlp.W_out").select(1, 0).copy_(torch::tensor({-0.5, 0.4, 0.4, 0.4, 0.3}));
  known.clean = {.tokens = torch::tensor({{1, 0}}), .labels = torch::tensor({{0}})};
  known.corrupted = {.tokens = torch::tensor({{0, 0}}), .labels = torch::tensor({{1}})};
  known.make();
  const auto order = by_importance(exact_edge_scores(*known.patching, known.metric));
  const auto sizes = circuit_sizes(known.graph().n_edges());
  const Circuit circuit = smallest_circuit(*known.patching, known.metric, order, sizes, 0.95);
  EXPECT_EQ(circuit.edges.size(), 6u);
  EXPECT_NEAR(circuit.faithfulness, 1.2, 1e-6);
  for (const int64_t spared : circuit.edges) {
    Tensor rest = torch::zeros({known.graph().n_edges()}, torch::kBool);
    for (const int64_t edge : circuit.edges) rest[edge] = edge != spared;
    EXPECT_LT(circuit_of(*known.patching, known.metric, rest).faithfulness, 0.95);
  }
}

TEST(CircuitCurves, BeginWithNothingAndEndWithTheNetwork) {
  const Known known = skip_trigram();
  const int64_t n = known.graph().n_edges();
  const auto order = by_importance(exact_edge_scores(*known.patching, known.metric));
  const CircuitCurve curve = circuit_curve(*known.patching, known.metric, order, {0, 1, 2, 3, n});
  EXPECT_EQ(curve.faithfulness.front(), 0);
  EXPECT_EQ(curve.faithfulness.back(), 1);
  EXPECT_EQ(curve.completeness.front(), 1);
  EXPECT_EQ(curve.completeness.back(), 0);
  EXPECT_NEAR(curve.faithfulness[3], 1, 1e-9);
  EXPECT_LT(curve.faithfulness[1], 0.5);
  EXPECT_NEAR(curve.area, circuit_area(curve.sizes, curve.faithfulness), 0);
  EXPECT_THROW(circuit_curve(*known.patching, known.metric, {0, 0, 1}, {0, 1}), Error);
}

TEST(CircuitCurves, AreaIsThatOfTrapezoidsCutOffAtOne) {
  EXPECT_NEAR(circuit_area({0, 1, 4}, {0, 1, 1}), (0.5 + 3) / 4, 1e-12);
  EXPECT_NEAR(circuit_area({0, 1, 2}, {0, 2, 1}), (0.5 + 1) / 2, 1e-12);
  EXPECT_NEAR(circuit_area({0, 1, 2}, {0, -3, 1}), 0.5 / 2, 1e-12);
  EXPECT_TRUE(std::isnan(circuit_area({0, 1}, {NAN, NAN})));
}

TEST(CircuitCurves, SizesAreAllOrSpreadByTheirLogarithms) {
  EXPECT_EQ(circuit_sizes(4), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  // 3000^(i / 19) for i = 0 to 19, rounded; 3000^(1 / 19) = 1.524.
  EXPECT_EQ(circuit_sizes(3000, 40),
            (std::vector<int64_t>{0,  1,   2,   4,   5,   8,   13,  19,   29,   44,
                                  68, 103, 157, 239, 365, 556, 847, 1292, 1968, 3000}));
}

TEST(CircuitCurves, OrderIsByAbsoluteScoreAndStable) {
  EXPECT_EQ(by_importance(torch::tensor({1.0, -3.0, 0.0, 3.0, 0.0}, torch::kFloat64)),
            (std::vector<int64_t>{1, 3, 0, 2, 4}));
}

TEST(FoundCircuits, AreNotANumberWhereNothingIsCorrupted) {
  Known known = skip_trigram();
  known.corrupted.tokens = known.clean.tokens;  // labels still differ
  known.make();
  const CircuitBounds bounds = circuit_bounds(*known.patching, known.metric);
  EXPECT_EQ(bounds.whole, bounds.empty);
  EXPECT_TRUE(std::isnan(bounds.share(bounds.whole)));
  EXPECT_EQ(exact_edge_scores(*known.patching, known.metric).abs().max().item<double>(), 0);
  // No set of edges has a share of the metric, the empty one no more than the others.
  std::vector<int64_t> order;
  for (int64_t edge = 0; edge < known.graph().n_edges(); ++edge) order.push_back(edge);
  const Circuit circuit = smallest_circuit(*known.patching, known.metric, order, {0, 1, 5}, 0.95);
  EXPECT_GT(circuit.edges.size(), 0u);
  EXPECT_TRUE(std::isnan(circuit.faithfulness));
}

TEST(FoundCircuits, AreReportedWithTheirNull) {
  const Known known = fourier();
  for (const auto method : {CircuitSearch::Method::exact, CircuitSearch::Method::eap,
                            CircuitSearch::Method::eap_ig, CircuitSearch::Method::acdc}) {
    const FoundCircuit found =
        find_circuit(*known.patching, known.metric, {.method = method, .share = 0.999999, .threshold = 1e-6},
                     make_generator(1));
    EXPECT_EQ(names_in(known.graph(), found.circuit), known.known) << name_of(method);
    EXPECT_EQ(found.random.size(0), 10);
    EXPECT_EQ(found.random.size(1), static_cast<int64_t>(found.curve.sizes.size()));
    EXPECT_GT(found.curve.area, found.random_area);
    EXPECT_LT(found.random_faithfulness, 0.4);
    EXPECT_GT(found.eap.correlation, 0);
    EXPECT_LE(found.eap.correlation, 1);
    const Finding finding = circuit_finding(known.graph(), found, "logit_difference", name_of(method));
    const auto edges = std::get<std::vector<std::string>>(finding.fields.at("edges"));
    EXPECT_EQ(Names(edges.begin(), edges.end()), known.known);
    EXPECT_EQ(edges.front(), known.graph().edges()[by_importance(found.scores)[0]].name);
  }
}

TEST(FoundCircuits, ASearchTellsHowFarItIsAndMayBeEnded) {
  const Known known = fourier();
  std::map<std::string, int64_t> passes;
  CircuitSearch search{.draws = 2};
  search.progress = [&](const std::string& what, int64_t done, int64_t of) {
    EXPECT_EQ(done, passes[what]++) << what;
    EXPECT_LE(done, of) << what;
  };
  find_circuit(*known.patching, known.metric, search, make_generator(1));
  const int64_t n = known.graph().n_edges();
  EXPECT_EQ(passes.at("edges"), n + 1);  // and the whole network
  EXPECT_GE(passes.at("random sets"), 2 * static_cast<int64_t>(circuit_sizes(n).size()));
  search.progress = [](const std::string& what, int64_t, int64_t) {
    if (what == "nodes") throw Error("enough");
  };
  EXPECT_THROW(find_circuit(*known.patching, known.metric, search, make_generator(1)), Error);
}

}  // namespace
}  // namespace orrery
