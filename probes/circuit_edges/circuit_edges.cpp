// Which connections does the network's answer pass through? (edge patching, Conmy et al. 2023) An edge
// carries what one part (embedding, head, MLP) adds to the input of a later one. Its score is how far the
// metric falls if it alone carries what the sender says to another input, of which the answer is another. In
// an induction pair, the logit of "B" in A B ... A falls by all it has if head 0.0 -> head 1.0 k is
// corrupted, and not at all with head 0.1 -> head 1.0 k. The edges with the largest scores, the rest
// corrupted, are a circuit; it is faithful as far as it has the metric of the whole, beside random sets of as
// many edges.
#include <orrery/circuit.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>

namespace {

using orrery::CircuitGraph;
using orrery::FoundCircuit;
using torch::Tensor;

struct Params {
  std::string inputs = "test";
  int64_t examples = 0;
  int64_t seed = 0;
  orrery::CircuitMetric metric = orrery::CircuitMetric::logit_difference;
  orrery::CircuitSearch::Method method = orrery::CircuitSearch::Method::exact;
  orrery::CircuitGrain nodes = orrery::CircuitGrain::automatic;
  int64_t ig_steps = 5;
  double share = 0.95;
  double acdc_threshold = 0.01;
  int64_t random_sets = 10;
  bool estimates = true;
  double appears = 0.1;
  int64_t max_drawn = 24;

  static void fields(orrery::Fields<Params>& f) {
    f.add("inputs", &Params::inputs, "where the clean inputs are from").one_of({"test", "train", "grid"});
    f.add("examples", &Params::examples,
          "clean inputs, drawn at random; all if there are fewer; 0: 64, or of long inputs as many as have "
          "2,048 tokens")
        .at_least(0);
    f.add("seed", &Params::seed, "of the inputs, their corrupted partners and the random sets").at_least(0);
    f.add("metric", &Params::metric,
          "the logit of the label less that of the corrupted input's, or less the "
          "mean of all others, or minus the loss");
    f.add("method", &Params::method,
          "scores measured edge by edge, or estimated by EAP or EAP-IG; acdc: "
          "measured, and the circuit is that of ACDC");
    f.add("nodes", &Params::nodes,
          "a layer of neurons is one node, or each neuron; automatic: layers of a "
          "transformer, neurons of an mlp");
    f.add("ig_steps", &Params::ig_steps, "steps of EAP-IG").between(1, 1000);
    f.add("share", &Params::share, "faithfulness of the smallest circuit").between(0.01, 1);
    f.add("acdc_threshold", &Params::acdc_threshold,
          "ACDC leaves out an edge that changes faithfulness by less than this")
        .between(1e-9, 1);
    f.add("random_sets", &Params::random_sets, "random orders of the edges for the null").between(1, 1000);
    f.add("estimates", &Params::estimates, "compare EAP and EAP-IG with the measured scores");
    f.add("appears", &Params::appears,
          "an edge is there once its score stays above this share of what the final network's metric falls")
        .between(1e-6, 1);
    f.add("max_drawn", &Params::max_drawn, "edges in the figure of the graph, nodes on a side of the heatmap")
        .between(1, 200);
  }
};

constexpr int64_t kListed = 2000;  // so many edges, the largest, are in the finding "edge_scores"
constexpr size_t kNamed = 60;      // in a graph of more nodes their names would cover each other
constexpr int64_t kStrokes = 12;   // a line of the largest score is as thick as so many

std::string part_of(const orrery::CircuitEdge& edge, const CircuitGraph& graph) {
  return graph.nodes()[edge.receiver].name + (edge.part.empty() ? "" : " " + edge.part);
}

// The names that weigh most, at most n of them, in the order of `names`.
std::vector<std::string> heaviest(const std::vector<std::string>& names,
                                  std::map<std::string, double> weights, int64_t n) {
  std::vector<std::string> sorted = names;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const auto& x, const auto& y) { return weights[x] > weights[y]; });
  sorted.resize(std::min<size_t>(sorted.size(), static_cast<size_t>(n)));
  std::vector<std::string> kept;
  for (const std::string& name : names)
    if (std::find(sorted.begin(), sorted.end(), name) != sorted.end()) kept.push_back(name);
  return kept;
}

// Scores by sender and by what the receiver takes them for; no number where there is no edge.
orrery::Figure heatmap(const CircuitGraph& graph, const Tensor& scores, int64_t most) {
  std::vector<std::string> senders, receivers;
  std::map<std::string, double> sent, received;
  for (int64_t e = 0; e < graph.n_edges(); ++e) {
    const auto& edge = graph.edges()[e];
    const std::string from = graph.nodes()[edge.sender].name, to = part_of(edge, graph);
    if (sent.count(from) == 0) senders.push_back(from);
    if (received.count(to) == 0) receivers.push_back(to);
    sent[from] += std::abs(scores[e].item<double>());
    received[to] += std::abs(scores[e].item<double>());
  }
  senders = heaviest(senders, sent, most);
  receivers = heaviest(receivers, received, most);
  const auto place = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) - names.begin();
  };
  Tensor z = torch::full({static_cast<int64_t>(receivers.size()), static_cast<int64_t>(senders.size())},
                         std::numeric_limits<float>::quiet_NaN());
  for (int64_t e = 0; e < graph.n_edges(); ++e) {
    const auto& edge = graph.edges()[e];
    const auto row = place(receivers, part_of(edge, graph)),
               column = place(senders, graph.nodes()[edge.sender].name);
    if (row < z.size(0) && column < z.size(1)) z[row][column] = scores[e];
  }
  return orrery::Figure::heatmap("edge_scores", "What the metric loses with each edge", {"sender", senders},
                                 {"receiver", receivers}, "fall of the metric", z);
}

// Where a node is drawn: layers from left to right, the nodes of one above each other.
struct Places {
  std::vector<double> x, y;
  std::vector<std::string> layers;
};

Places places_of(const CircuitGraph& graph) {
  Places places;
  std::map<int64_t, int64_t> width;
  for (const auto& node : graph.nodes()) ++width[node.depth];
  std::map<int64_t, int64_t> seen;
  for (const auto& node : graph.nodes()) {
    places.x.push_back(static_cast<double>(node.depth));
    places.y.push_back(static_cast<double>(width[node.depth] - 1) / 2 -
                       static_cast<double>(seen[node.depth]++));
    const std::string kind = node.name.substr(0, node.name.find('.'));  // "head 0", "mlp 0", "logits"
    if (node.depth == static_cast<int64_t>(places.layers.size()))
      places.layers.push_back(node.depth == 0 ? "input" : kind);
  }
  return places;
}

// A line that goes to and fro `strokes` times, side by side: as thick as that.
orrery::Trace thick_line(const CircuitGraph& graph, const orrery::CircuitEdge& edge, const Places& places,
                         int64_t strokes, double spacing) {
  const double port = edge.part == "q" ? 0.18 : edge.part == "v" ? -0.18 : 0;
  std::vector<double> x, y;
  orrery::Trace trace;
  for (int64_t i = 0; i < strokes; ++i) {
    const double shift = (static_cast<double>(i) - static_cast<double>(strokes - 1) / 2) * spacing;
    const auto at = [&](int64_t node, double off) {
      x.push_back(places.x[node]);
      y.push_back(places.y[node] + off + shift);
      trace.labels.push_back(graph.nodes()[node].name);
    };
    if (i % 2 == 0) at(edge.sender, 0);
    at(edge.receiver, port);
    if (i % 2 == 1) at(edge.sender, 0);
  }
  trace.x = torch::tensor(x, torch::kFloat64);
  trace.y = torch::tensor(y, torch::kFloat64);
  return trace;
}

// Above the lines that arrive. The trace has no name of its own, so that it is text and no line.
orrery::Trace node_names(const CircuitGraph& graph, const Places& places) {
  constexpr double kAbove = 0.24;
  orrery::Trace trace{
      "", torch::tensor(places.x, torch::kFloat64), torch::tensor(places.y, torch::kFloat64) + kAbove, {}};
  for (const auto& node : graph.nodes()) trace.labels.push_back(node.name);
  return trace;
}

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

// The edges with the largest scores, as thick as they matter. `shares`: of the fall of the metric.
orrery::Figure drawn_graph(const CircuitGraph& graph, const std::vector<int64_t>& order, const Tensor& shares,
                           int64_t most) {
  const Places places = places_of(graph);
  orrery::Figure figure{.name = "graph",
                        .kind = orrery::Figure::Kind::line,
                        .title = "The edges that matter, as thick as their scores",
                        .x_label = "layer",
                        .y_label = "nodes of the layer",
                        .traces = {}};
  figure.x_ticks = places.layers;
  figure.y_ticks = {""};  // heights mean nothing
  const double tallest = *std::max_element(places.y.begin(), places.y.end());
  const double largest = std::abs(shares[order[0]].item<double>());
  for (int64_t i = 0; i < std::min<int64_t>(most, graph.n_edges()); ++i) {
    const double share = shares[order[i]].item<double>();
    if (i > 0 && !(std::abs(share) > 0.01 * largest)) break;
    const double part = largest > 0 ? std::abs(share) / largest : 0;
    const auto strokes = 1 + static_cast<int64_t>(std::llround(part * (kStrokes - 1)));
    const auto& edge = graph.edges()[order[i]];
    orrery::Trace trace = thick_line(graph, edge, places, strokes, 0.01 * (1 + tallest));
    trace.name = edge.name + ": " + rounded(share);
    figure.traces.push_back(std::move(trace));
  }
  if (graph.nodes().size() <= kNamed) figure.traces.push_back(node_names(graph, places));
  return figure;
}

orrery::Figure curves(const FoundCircuit& found) {
  const Tensor sizes = torch::tensor(found.curve.sizes, torch::kInt64);
  return orrery::Figure::line(
      "faithfulness", "Faithfulness of the edges with the largest scores", {"edges kept", {}, sizes},
      "share of the metric",
      {{"the circuit", torch::tensor(found.curve.faithfulness, torch::kFloat64)},
       {"all but the circuit", torch::tensor(found.curve.completeness, torch::kFloat64)},
       {"random edges", found.random.mean(0)}});
}

// kind "edge_scores": edges and scores (names, and the fall of the metric with each), whole and empty (the
// metric of the network, and with every edge corrupted), n_edges.
orrery::Finding edge_scores(const CircuitGraph& graph, const FoundCircuit& found,
                            const std::vector<int64_t>& order) {
  std::vector<std::string> edges;
  std::vector<double> scores;
  for (int64_t i = 0; i < std::min<int64_t>(kListed, graph.n_edges()); ++i) {
    edges.push_back(graph.edges()[order[i]].name);
    scores.push_back(found.scores[order[i]].item<double>());
  }
  return {"edge_scores",
          "edge_scores",
          {{"edges", edges},
           {"scores", scores},
           {"whole", found.bounds.whole},
           {"empty", found.bounds.empty},
           {"n_edges", graph.n_edges()}}};
}

// The shares of one edge over the steps, of what the last network's metric falls by.
using Shares = std::map<std::string, std::vector<double>>;

// On disk round numbers look like integers.
std::vector<double> reals(const orrery::Value& value) {
  if (const auto* whole = std::get_if<std::vector<int64_t>>(&value)) return {whole->begin(), whole->end()};
  return std::get<std::vector<double>>(value);
}

Shares shares_over(const orrery::FindingSeries& series) {
  const auto number = [](const orrery::Finding& finding, const char* field) {
    const orrery::Value& value = finding.fields.at(field);
    if (const auto* whole = std::get_if<int64_t>(&value)) return static_cast<double>(*whole);
    return std::get<double>(value);
  };
  const orrery::Finding& last = series.findings.back();
  const double fall = std::abs(number(last, "whole") - number(last, "empty"));
  Shares shares;
  for (size_t i = 0; i < series.findings.size(); ++i) {
    const auto& fields = series.findings[i].fields;
    const auto names = std::get<std::vector<std::string>>(fields.at("edges"));
    std::vector<double> scores = reals(fields.at("scores"));
    scores.resize(names.size());
    for (size_t e = 0; e < names.size(); ++e) {
      shares[names[e]].resize(series.findings.size());
      shares[names[e]][i] = fall > 0 ? std::abs(scores[e]) / fall : 0;
    }
  }
  return shares;
}

class CircuitEdges final : public orrery::Probe {
 public:
  explicit CircuitEdges(Params params) : params_(std::move(params)) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.weights = {"*"};
    needs.inputs = params_.inputs == "test"    ? orrery::Inputs::test
                   : params_.inputs == "train" ? orrery::Inputs::train
                                               : orrery::Inputs::grid;
    needs.findings = {"edge_scores"};
    needs.refusal = [options = options()](const orrery::Model& model, const orrery::TaskSpec& spec) {
      return CircuitGraph::refusal(model, spec, options);
    };
    return needs;
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    auto rng = orrery::make_generator(static_cast<uint64_t>(params_.seed));
    const int64_t usual = std::min<int64_t>(64, orrery::circuit_examples_by_length(observation.spec));
    const auto [clean, corrupted] =
        orrery::circuit_examples(observation, params_.examples > 0 ? params_.examples : usual, rng);
    const CircuitGraph graph(observation.model, observation.spec, clean.tokens, options());
    const orrery::CircuitPatching patching(graph, clean.tokens, corrupted.tokens);
    const orrery::Objective metric =
        orrery::circuit_metric(params_.metric, observation.spec, clean, corrupted,
                               [&](const Tensor& logits, const orrery::Batch& inputs) {
                                 return observation.losses(logits, inputs);
                               });
    const FoundCircuit found = orrery::find_circuit(patching, metric, search(), rng);
    record(graph, found, recorder);
  }

  void conclude(const orrery::History& history, orrery::Recorder& recorder) override {
    const orrery::FindingSeries series = history.finding("edge_scores");
    if (series.findings.empty()) return;
    const Shares shares = shares_over(series);
    std::vector<std::pair<std::string, std::vector<double>>> there;
    for (const auto& [edge, values] : shares) {
      if (!(values.back() >= params_.appears)) continue;
      size_t first = values.size() - 1;
      while (first > 0 && values[first - 1] >= params_.appears) --first;
      recorder.scalar("appears/" + edge, static_cast<double>(series.steps[first]));
      recorder.finding({"appears/" + edge,
                        "edge_appearance",
                        {{"edge", edge}, {"step", series.steps[first]}, {"share", values.back()}}});
      there.emplace_back(edge, values);
    }
    recorder.scalar("n_appeared", static_cast<double>(there.size()));
    recorder.panel("appears", "Step from which an edge matters", "step");
    recorder.panel("n_appeared", "Edges that matter in the end", "edges");
    if (!there.empty()) recorder.figure(over_steps(there, series.steps));
  }

 private:
  orrery::CircuitOptions options() const {
    orrery::CircuitOptions options;
    options.grain = params_.nodes;
    return options;
  }
  orrery::CircuitSearch search() const {
    orrery::CircuitSearch search;
    search.method = params_.method;
    search.ig_steps = params_.ig_steps;
    search.share = params_.share;
    search.threshold = params_.acdc_threshold;
    search.draws = params_.random_sets;
    search.estimates = params_.estimates;
    return search;
  }

  static void panels(orrery::Recorder& recorder) {
    recorder.panel("metric", "The metric, of clean and of corrupted inputs", "metric");
    recorder.panel("n_edges", "Edges of the whole graph", "edges");
    recorder.panel("circuit/n_edges", "Edges of the smallest faithful circuit", "edges");
    recorder.panel("circuit", "The smallest faithful circuit", "share of the metric");
    recorder.panel("area", "Area under faithfulness against the share of edges kept", "area");
    recorder.panel("correlation", "Correlation of estimated with measured scores", "correlation");
    recorder.panel("rank", "Rank correlation of estimated with measured scores", "correlation");
    recorder.panel("largest", "Largest error of an estimated score", "units of the metric");
  }

  void record(const CircuitGraph& graph, const FoundCircuit& found, orrery::Recorder& recorder) const {
    panels(recorder);
    recorder.scalar("metric/clean", found.bounds.whole);
    recorder.scalar("metric/corrupted", found.bounds.empty);
    recorder.scalar("n_edges", static_cast<double>(graph.n_edges()));
    // Where nothing was corrupted no set of edges has a share of the metric.
    recorder.headline("circuit/n_edges", found.bounds.whole == found.bounds.empty
                                             ? std::numeric_limits<double>::quiet_NaN()
                                             : static_cast<double>(found.circuit.edges.size()));
    recorder.scalar("circuit/faithfulness", found.circuit.faithfulness);
    recorder.scalar("circuit/completeness", found.circuit.completeness);
    recorder.scalar("circuit/random", found.random_faithfulness);
    recorder.headline("area", found.curve.area);
    recorder.scalar("area/random", found.random_area);
    if (params_.estimates)
      for (const auto& [name, how] : {std::pair{"eap", found.eap}, std::pair{"eap_ig", found.eap_ig}}) {
        recorder.scalar(std::string("correlation/") + name, how.correlation);
        recorder.scalar(std::string("rank/") + name, how.rank_correlation);
        recorder.scalar(std::string("largest/") + name, how.largest);
      }
    recorder.tensor("scores", found.scores);
    recorder.tensor("nodes", found.nodes);
    recorder.tensor("faithfulness", torch::tensor(found.curve.faithfulness, torch::kFloat64));
    recorder.tensor("completeness", torch::tensor(found.curve.completeness, torch::kFloat64));
    recorder.tensor("random_faithfulness", found.random);
    recorder.tensor("sizes", torch::tensor(found.curve.sizes, torch::kInt64));
    const std::vector<int64_t> order = orrery::by_importance(found.scores);
    recorder.figure(heatmap(graph, found.scores, params_.max_drawn));
    recorder.figure(curves(found));
    recorder.finding(edge_scores(graph, found, order));
    const double fall = found.bounds.whole - found.bounds.empty;
    if (fall == 0) return;  // nothing was corrupted, and shares of it are none
    recorder.figure(drawn_graph(graph, order, found.scores / fall, params_.max_drawn));
    recorder.finding(orrery::circuit_finding(graph, found, name_of(params_.metric), name_of(params_.method)));
  }

  orrery::Figure over_steps(std::vector<std::pair<std::string, std::vector<double>>> there,
                            const std::vector<int64_t>& steps) const {
    std::stable_sort(there.begin(), there.end(),
                     [](const auto& x, const auto& y) { return x.second.back() > y.second.back(); });
    there.resize(std::min<size_t>(there.size(), static_cast<size_t>(params_.max_drawn)));
    orrery::Series series;
    for (const auto& [edge, values] : there)
      series.emplace_back(edge, torch::tensor(values, torch::kFloat64));
    return orrery::Figure::line("edges_over_training", "Scores of the edges that matter in the end",
                                {"step", {}, torch::tensor(steps, torch::kInt64)},
                                "share of what the final metric falls by", series);
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(
    CircuitEdges, Params, "circuit_edges", "1.1.0",
    "Which connections the answer passes through: edges patched one by one, and the smallest faithful "
    "circuit.")
