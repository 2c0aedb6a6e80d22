// Scores of edges where the answer is known: linear paths, polynomials, differences; and the metrics.
#include <gtest/gtest.h>
#include <orrery/circuit.h>
#include <orrery/error.h>
#include <tests/support/model_on_grid.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

namespace orrery {
namespace {

using torch::Tensor;

// A random network on pairs of a + b mod 7, and partners that differ in both.
struct Scored {
  testing::CyclicTask task = testing::addition(7);
  std::unique_ptr<Model> model;
  Batch clean, corrupted;
  std::unique_ptr<CircuitPatching> patching;
  Objective metric;

  explicit Scored(const TransformerConfig& config, CircuitOptions options = {}) {
    model = make_transformer(config, task.spec, make_generator(4));
    patch(options);
  }
  explicit Scored(const MlpConfig& config, CircuitOptions options = {}) {
    model = make_mlp(config, task.spec, make_generator(4));
    patch(options);
  }
  const CircuitGraph& graph() const { return patching->graph(); }
  double at(const Tensor& scores, const std::string& edge) const {
    return scores[graph().edge(edge)].item<double>();
  }

 private:
  void patch(const CircuitOptions& options) {
    clean = task.split.train;
    corrupted = clean.rows(torch::randperm(clean.size(), make_generator(5), torch::kInt64));
    patching = std::make_unique<CircuitPatching>(CircuitGraph(*model, task.spec, clean.tokens, options),
                                                 clean.tokens, corrupted.tokens);
    metric = circuit_metric(CircuitMetric::logit_difference, task.spec, clean, corrupted);
  }
};

TransformerConfig small_transformer(int64_t n_layers = 2) {
  TransformerConfig config;
  config.n_layers = n_layers;
  config.d_model = 12;
  config.n_heads = 2;
  config.d_head = 6;
  config.d_mlp = 8;
  return config;
}

MlpConfig small_mlp(MlpConfig::ActFn act_fn) {
  return {.embedding = MlpConfig::Embedding::untied, .d_embed = 5, .d_mlp = 6, .act_fn = act_fn};
}

double largest_of(const Tensor& x) { return x.abs().max().item<double>(); }

// What ends at the logits is linear, and so is a value behind a pattern that nothing corrupts.
TEST(CircuitScores, EstimatesOfLinearPathsAreExact) {
  const Scored scored(small_transformer(1));
  const Tensor exact = exact_edge_scores(*scored.patching, scored.metric);
  const Tensor eap = eap_scores(*scored.patching, scored.metric);
  int n_linear = 0, n_others = 0;
  for (int64_t e = 0; e < exact.size(0); ++e) {
    const double off = std::abs((exact[e] - eap[e]).item<double>());
    const CircuitEdge& edge = scored.graph().edges()[e];
    const bool linear = scored.graph().nodes()[edge.receiver].name == "logits";
    if (linear) {
      EXPECT_LT(off, 1e-9) << edge.name;
    }
    n_linear += linear && exact[e].item<double>() != 0;
    n_others += !linear && off > 1e-6;
  }
  EXPECT_EQ(n_linear, 3);  // two heads and the mlp; "=" and its position are the same in both inputs
  EXPECT_GT(n_others, 3);  // elsewhere they are estimates
  TransformerConfig attn_only = small_transformer(1);
  attn_only.attn_only = true;
  const Scored values(attn_only);
  const Tensor measured = exact_edge_scores(*values.patching, values.metric);
  const Tensor estimated = eap_scores(*values.patching, values.metric);
  for (const std::string edge : {"embed -> head 0.0 v", "embed -> head 0.1 v"}) {
    EXPECT_NEAR(values.at(estimated, edge), values.at(measured, edge), 1e-9);
    EXPECT_GT(std::abs(values.at(measured, edge)), 1e-3);
  }
  EXPECT_GT(
      std::abs(values.at(estimated, "embed -> head 0.1 k") - values.at(measured, "embed -> head 0.1 k")),
      1e-6);
}

TEST(CircuitScores, OfALinearNetworkAreExactThroughout) {
  MlpConfig config = small_mlp(MlpConfig::ActFn::identity);
  config.n_hidden = 2;
  const Scored scored(config);
  const Tensor exact = exact_edge_scores(*scored.patching, scored.metric);
  EXPECT_GT(largest_of(exact), 0.1);
  EXPECT_LT(largest_of(eap_scores(*scored.patching, scored.metric) - exact), 1e-9);
  EXPECT_LT(largest_of(eap_ig_scores(*scored.patching, scored.metric, 3) - exact), 1e-9);
}

// Each neuron is linear: what reaches it by all edges is its own effect.
TEST(CircuitScores, OfEdgesIntoALinearNodeAddUpToItsOwn) {
  const Scored scored(small_mlp(MlpConfig::ActFn::identity));
  const Tensor edges = exact_edge_scores(*scored.patching, scored.metric);
  const Tensor nodes = exact_node_scores(*scored.patching, scored.metric);
  EXPECT_EQ(nodes[-1].item<double>(), 0);
  for (int64_t node = 2; node + 1 < nodes.size(0); ++node) {
    double sum = 0;
    for (int64_t e = 0; e < edges.size(0); ++e)
      if (scored.graph().edges()[e].receiver == node) sum += edges[e].item<double>();
    EXPECT_NEAR(sum, nodes[node].item<double>(), 1e-9);
  }
  EXPECT_GT(largest_of(nodes), 0.01);
  const Scored squares(small_mlp(MlpConfig::ActFn::square));
  const Tensor of_edges = exact_edge_scores(*squares.patching, squares.metric);
  const Tensor of_nodes = exact_node_scores(*squares.patching, squares.metric);
  EXPECT_GT(std::abs(of_edges.narrow(0, 0, 2).sum().item<double>() - of_nodes[2].item<double>()), 1e-6);
}

// A pattern without queries is uniform, so a head is linear in its values.
TEST(CircuitScores, OfEdgesIntoTheValuesOfAHeadAddUpToItsOwn) {
  const Scored uniform([] {
    TransformerConfig config = small_transformer();
    config.attn_only = true;
    return config;
  }());
  const torch::NoGradGuard no_grad;
  uniform.model->weight("blocks.1.attn.W_Q").zero_();
  const CircuitGraph graph(*uniform.model, uniform.task.spec, uniform.clean.tokens);
  const CircuitPatching patching(graph, uniform.clean.tokens, uniform.corrupted.tokens);
  const Tensor edges = exact_edge_scores(patching, uniform.metric);
  const Tensor nodes = exact_node_scores(patching, uniform.metric);
  for (const int64_t head : {4, 5}) {  // embed, pos_embed, two heads, then these
    double sum = 0;
    for (int64_t e = 0; e < edges.size(0); ++e)
      if (graph.edges()[e].receiver == head) sum += edges[e].item<double>();
    EXPECT_NEAR(sum, nodes[head].item<double>(), 1e-9) << graph.nodes()[head].name;
    EXPECT_GT(std::abs(sum), 1e-3);
  }
}

TEST(CircuitScores, EapIsTheSlopeInWhatIsKept) {
  for (const auto grain : {CircuitGrain::layers, CircuitGrain::neurons}) {
    const Scored scored(small_transformer(), {.grain = grain});
    const Tensor kept = torch::ones({scored.graph().n_edges()}, torch::kFloat64).requires_grad_(true);
    const Tensor slope = torch::autograd::grad({scored.metric(scored.patching->logits(kept))}, {kept})[0];
    const Tensor eap = eap_scores(*scored.patching, scored.metric);
    EXPECT_LT(largest_of(eap - slope), 1e-10);
    const torch::NoGradGuard no_grad;
    for (int64_t e = 0; e < eap.size(0); e += 5) {
      const Tensor step = torch::zeros_like(eap).index_fill(0, torch::tensor({e}), 1e-6);
      const double up = scored.metric(scored.patching->logits(1 + step)).item<double>();
      const double down = scored.metric(scored.patching->logits(1 - step)).item<double>();
      EXPECT_NEAR(eap[e].item<double>(), (up - down) / 2e-6, 1e-6);
    }
  }
}

// Along the straight line between the embeddings the gradients integrate to the whole fall of the metric;
// with squares they are linear along it, so that one midpoint is exact.
TEST(CircuitScores, IntegratedGradientsOfTheFirstEdgesAddUpToTheWhole) {
  const Scored scored(small_mlp(MlpConfig::ActFn::square));
  const CircuitBounds bounds = circuit_bounds(*scored.patching, scored.metric);
  const auto sum_into_neurons = [&](const Tensor& scores) {
    return scores.narrow(0, 0, 2 * 6).sum().item<double>();
  };
  for (const int64_t steps : {1, 4})
    EXPECT_NEAR(sum_into_neurons(eap_ig_scores(*scored.patching, scored.metric, steps)),
                bounds.whole - bounds.empty, 1e-9);
  EXPECT_GT(
      std::abs(sum_into_neurons(eap_scores(*scored.patching, scored.metric)) - (bounds.whole - bounds.empty)),
      0.01);
  EXPECT_THROW(eap_ig_scores(*scored.patching, scored.metric, 0), UsageError);
}

TEST(CircuitScores, IntegratedGradientsConvergeAsMidpointsDo) {
  const Scored scored(small_transformer());
  const auto at = [&](int64_t steps) { return eap_ig_scores(*scored.patching, scored.metric, steps); };
  const Tensor limit = at(400);
  EXPECT_GT(largest_of(at(1) - limit), 1e-3);
  EXPECT_LT(largest_of(at(40) - limit), largest_of(at(4) - limit) / 3);  // ReLU has kinks: not quite m^-2
}

TEST(CircuitScores, OfAnEdgeToTheLogitsAreThoseOfItsPath) {
  const Scored scored(small_transformer());
  const Tensor exact = exact_edge_scores(*scored.patching, scored.metric);
  const auto edge = scored.graph().edge("head 0.1 -> logits");
  EXPECT_NEAR(path_score(*scored.patching, scored.metric, {edge}), exact[edge].item<double>(), 1e-12);
  // mlp 1 is read by the logits alone.
  const auto first = scored.graph().edge("head 0.1 -> mlp 1"),
             second = scored.graph().edge("mlp 1 -> logits");
  EXPECT_NEAR(path_score(*scored.patching, scored.metric, {first, second}), exact[first].item<double>(),
              1e-12);
}

TEST(CircuitScores, LeaveGradientsAsTheyWere) {
  const Scored scored(small_transformer());
  const torch::NoGradGuard no_grad;
  const Tensor scores = eap_scores(*scored.patching, scored.metric);
  EXPECT_FALSE(scores.requires_grad());
  EXPECT_FALSE(torch::GradMode::is_enabled());
  for (const NamedWeight& weight : scored.model->weights()) EXPECT_FALSE(weight.value.grad().defined());
}

TEST(CircuitAgreement, IsWhatItsFormulasSay) {
  const auto numbers = [](std::vector<double> x) { return torch::tensor(x, torch::kFloat64); };
  const Tensor x = numbers({1, -2, 3, 4}), y = numbers({2, 4, -6, 9});
  const CircuitAgreement found = agreement(x, y);
  // Deviations -1/2, -7/2, 3/2, 5/2 and -1/4, 7/4, -33/4, 27/4: sums of products 21/2 of 21 and 119.
  double xy = 0, xx = 0, yy = 0;
  const double dx[] = {-0.5, -3.5, 1.5, 2.5}, dy[] = {-0.25, 1.75, -8.25, 6.75};
  for (int i = 0; i < 4; ++i) {
    xy += dx[i] * dy[i];
    xx += dx[i] * dx[i];
    yy += dy[i] * dy[i];
  }
  EXPECT_NEAR(found.correlation, xy / std::sqrt(xx * yy), 1e-12);
  EXPECT_NEAR(found.rank_correlation, 1, 1e-12);  // of absolute values
  EXPECT_EQ(found.largest, 9);
  EXPECT_NEAR(agreement(numbers({1, 1, 2}), numbers({3, 3, 5})).rank_correlation, 1, 1e-12);
  EXPECT_NEAR(agreement(numbers({1, 1, 2}), numbers({1, 2, 2})).rank_correlation, 0.5, 1e-12);
  EXPECT_TRUE(std::isnan(agreement(numbers({1, 1}), numbers({1, 2})).correlation));
  EXPECT_TRUE(std::isnan(agreement(numbers({1, -1}), numbers({1, 2})).rank_correlation));
  EXPECT_THROW(agreement(numbers({1}), numbers({1, 2})), Error);
}

// Two examples with two labels each; the second label of the second example is not scored.
struct Labelled {
  TaskSpec spec;
  Batch clean, corrupted;
  Tensor logits = torch::randn({2, 2, 3}, make_generator(1), torch::kFloat64);
  Labelled() {
    spec.d_vocab_out = 3;
    clean.labels = torch::tensor({0, 1, 2, 1}).view({2, 2});
    clean.tokens = torch::zeros({2, 3}, torch::kInt64);
    clean.scored = torch::tensor({1, 1, 1, 0}).view({2, 2}).to(torch::kBool);
    corrupted.labels = torch::tensor({1, 1, 0, 2}).view({2, 2});
  }
  double of(CircuitMetric metric) const {
    return circuit_metric(metric, spec, clean, corrupted)(logits).item<double>();
  }
  double z(int64_t example, int64_t at, int64_t label) const {
    return logits[example][at][label].item<double>();
  }
};

TEST(CircuitMetrics, AreMeansOverLabelsThatCount) {
  const Labelled x;
  EXPECT_NEAR(x.of(CircuitMetric::logit_difference),
              (x.z(0, 0, 0) - x.z(0, 0, 1) + x.z(1, 0, 2) - x.z(1, 0, 0)) / 2, 1e-12);
  const auto right = [&](int64_t i, int64_t at, int64_t label) {
    return 1.5 * x.z(i, at, label) - (x.z(i, at, 0) + x.z(i, at, 1) + x.z(i, at, 2)) / 2;
  };
  EXPECT_NEAR(x.of(CircuitMetric::logit_above_mean), (right(0, 0, 0) + right(0, 1, 1) + right(1, 0, 2)) / 3,
              1e-12);
  const auto loss = [&](int64_t i, int64_t at, int64_t label) {
    return std::log(std::exp(x.z(i, at, 0)) + std::exp(x.z(i, at, 1)) + std::exp(x.z(i, at, 2))) -
           x.z(i, at, label);
  };
  EXPECT_NEAR(x.of(CircuitMetric::loss), -(loss(0, 0, 0) + loss(0, 1, 1) + loss(1, 0, 2)) / 3, 1e-12);
}

TEST(CircuitMetrics, OfOneLogitAreItsMargin) {
  Labelled x;
  x.spec.d_vocab_out = 1;
  x.spec.loss = Loss::hinge;
  x.clean.labels = torch::tensor({0, 1, 1, 1}).view({2, 2});
  x.corrupted.labels = torch::tensor({1, 1, 0, 0}).view({2, 2});
  x.logits = x.logits.narrow(2, 0, 1);
  EXPECT_NEAR(x.of(CircuitMetric::logit_above_mean), (-x.z(0, 0, 0) + x.z(0, 1, 0) + x.z(1, 0, 0)) / 3,
              1e-12);
  EXPECT_NEAR(x.of(CircuitMetric::logit_difference), (-x.z(0, 0, 0) + x.z(1, 0, 0)) / 2, 1e-12);
}

TEST(CircuitMetrics, SayWhyTheyCannotBeTaken) {
  Labelled x;
  x.corrupted.labels = x.clean.labels;
  EXPECT_NO_THROW(x.of(CircuitMetric::logit_above_mean));
  try {
    x.of(CircuitMetric::logit_difference);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("none of 2 corrupted inputs has another label"),
              std::string::npos);
  }
  x.clean.scored.fill_(false);
  EXPECT_THROW(x.of(CircuitMetric::loss), UsageError);
}

// Without a grid partners are other examples.
TEST(CircuitExamples, AreMoreThanOneWhereTheyHaveToBePartnersOfEachOther) {
  testing::ModelOnGrid network = testing::random_mlp({.d_embed = 4, .d_mlp = 4}, 5);
  EXPECT_EQ(circuit_examples(network.observe(), 1, make_generator(0)).corrupted.size(), 1);
  network.task.split.grid.reset();
  const Batch inputs = testing::addition(5).split.test;
  const Observation seen = network.observe();
  const Observation without{seen.step, seen.spec,  seen.structure, seen.split,
                            inputs,    seen.model, seen.logits,    seen.cache};
  EXPECT_THROW(circuit_examples(without, 1, make_generator(0)), UsageError);
  EXPECT_EQ(circuit_examples(without, 2, make_generator(0)).corrupted.size(), 2);
}

}  // namespace
}  // namespace orrery
