// Circuits of the framework's transformers and mlps, found by patching edges of their graph. An edge carries
// what one node (an embedding, a head, a layer of neurons or a neuron) adds to the input of a later one. To
// corrupt it is to put in what the sender says to another, corrupted input; the receiver and all nodes behind
// it are computed again (Conmy et al. 2023, arXiv 2304.14997). Toy graphs have a few hundred edges, so the
// effect of each is measured, not estimated; the estimates of the literature can be held against it.
//
// All of this runs on copies of the weights on the CPU, in float64 unless asked otherwise. Objects are
// read-only once made and may be shared among threads.
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/gradients.h>
#include <orrery/model.h>
#include <orrery/probe.h>
#include <orrery/recorder.h>
#include <orrery/task.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace orrery {

/// Whether a layer of neurons is one node, or each neuron one. `automatic`: one of a transformer, each of an
/// mlp, which has no other parts.
enum class CircuitGrain { automatic, layers, neurons };
inline Names<CircuitGrain> names_of(CircuitGrain) {
  return {{"automatic", CircuitGrain::automatic},
          {"layers", CircuitGrain::layers},
          {"neurons", CircuitGrain::neurons}};
}

struct CircuitOptions {
  CircuitGrain grain = CircuitGrain::automatic;
  torch::Dtype dtype = torch::kFloat64;  ///< float64 or float32, of all activations and logits
  int64_t max_edges = 20'000;            ///< a larger graph is refused
};

/// A part of the network. Names: "embed", "pos_embed", "head 0.3", "mlp 0", "neuron 0.17", "logits"; in an
/// mlp "a" and "b", the operands, or "bit 4"; layers, heads and neurons counted from 0.
struct CircuitNode {
  std::string name;
  int64_t layer = -1;  ///< of heads and neurons
  int64_t depth = 0;   ///< 0 for embeddings and operands; each layer of heads or neurons is one deeper
};

/// "embed -> head 0.1 q": the input of a head has three parts, of any other receiver one.
struct CircuitEdge {
  int64_t sender = 0, receiver = 0;  ///< indices of nodes
  std::string part;                  ///< "q", "k", "v" or ""
  std::string name;
};

/// The graph of a network: every node's output is read by every later node (transformer), or by the next
/// layer (mlp). Biases and weights belong to the receiver or are a constant that no edge carries; so are
/// positions that both inputs share, whose edges have no effect.
class ORRERY_API CircuitGraph {
 public:
  /// Takes the weights of `model` and compares its own logits with those of model.forward on `tokens`
  /// [n, n_ctx] (at most the first 32; on any device). Throws orrery::UsageError, saying why, for a model
  /// that refusal() refuses or whose logits it does not reproduce to 1e-4 of the largest.
  CircuitGraph(Model& model, const TaskSpec& spec, const torch::Tensor& tokens,
               const CircuitOptions& options = {});

  /// Why there is no graph of this model, in a few words, or "": models that are neither a transformer nor an
  /// mlp of the framework, rotary positions, normalisation behind the sum, padding, single neurons behind a
  /// normalisation or of a gated MLP, more than max_edges edges. As Needs::refusal, it reads no weight.
  static std::string refusal(const Model& model, const TaskSpec& spec, const CircuitOptions& options = {});

  const std::vector<CircuitNode>& nodes() const;  ///< in the order of the forward pass; the last is "logits"
  const std::vector<CircuitEdge>& edges() const;  ///< by receiver, in that order
  int64_t n_edges() const { return static_cast<int64_t>(edges().size()); }
  /// The edge of this name; and the edges that leave the node of this name. They throw orrery::Error, with
  /// the nearest name, if there is none.
  int64_t edge(const std::string& name) const;
  std::vector<int64_t> edges_from(const std::string& node) const;

  /// Logits at the output positions, [batch, n_read, d_vocab_out], of tokens [batch, n_ctx].
  torch::Tensor logits(const torch::Tensor& tokens) const;
  /// The edges of `kept` (bool [n_edges]) that are part of a path of kept edges from an embedding to the
  /// logits. Leaving out the others changes no logit of CircuitPatching::logits().
  torch::Tensor connected(const torch::Tensor& kept) const;

  struct Parts;
  const Parts& parts() const { return *parts_; }  ///< for circuit_*.cpp

 private:
  std::shared_ptr<const Parts> parts_;
};

/// A clean and a corrupted pass through a graph, and any mixture of the two.
class ORRERY_API CircuitPatching {
 public:
  /// clean, corrupted: [batch, n_ctx] int64, example by example partners of each other.
  CircuitPatching(const CircuitGraph& graph, const torch::Tensor& clean, const torch::Tensor& corrupted);

  const CircuitGraph& graph() const { return graph_; }

  /// The logits [batch, n_read, d_vocab_out] of the clean input with edges corrupted. kept: [n_edges]; bool,
  /// or numbers from 0 (the edge carries the sender's output in the corrupted pass) to 1 (its output in this
  /// pass), in which the logits are then differentiable. Throws orrery::Error for another shape.
  torch::Tensor logits(const torch::Tensor& kept) const;
  const torch::Tensor& clean_logits() const { return clean_logits_; }
  const torch::Tensor& corrupted_logits() const { return corrupted_logits_; }

  /// Path patching (Goldowsky-Dill et al. 2023, arXiv 2304.05969): the logits if only the path of these edges
  /// carries the corrupted input, from the first one's sender to the logits; every other input of the nodes
  /// on it is clean. Throws orrery::Error unless each edge begins where the one before ends, and the last
  /// ends at the logits.
  torch::Tensor path_logits(const std::vector<int64_t>& edges) const;

  /// For each edge, minus the slope of `metric` towards the corrupted output of its sender: (clean -
  /// corrupted output) times the gradient of the metric with respect to the receiver's input, in a pass whose
  /// embeddings are corrupted + alpha (clean - corrupted). float64 [n_edges], whether gradients are on or
  /// off.
  torch::Tensor slopes(const Objective& metric, double alpha = 1) const;

  struct Passes;

 private:
  CircuitGraph graph_;
  std::shared_ptr<const Passes> passes_;
  torch::Tensor clean_logits_, corrupted_logits_;
};

/// What a circuit is asked to keep. `logit_difference`: the logit of the label less that of the corrupted
/// partner's, over labels where the two differ. `logit_above_mean`: the logit of the label less the mean of
/// the others. `loss`: minus the loss of the run. For a task with one logit z, the first two are y z.
enum class CircuitMetric { logit_difference, logit_above_mean, loss };
inline Names<CircuitMetric> names_of(CircuitMetric) {
  return {{"logit_difference", CircuitMetric::logit_difference},
          {"logit_above_mean", CircuitMetric::logit_above_mean},
          {"loss", CircuitMetric::loss}};
}

/// The metric as a function of logits [batch, n_read, d_vocab_out], a mean over the labels in the loss mask
/// of `clean`. `losses` is needed for `loss` only: Observation::losses. Throws orrery::UsageError if no label
/// counts.
ORRERY_API Objective
circuit_metric(CircuitMetric metric, const TaskSpec& spec, const Batch& clean, const Batch& corrupted,
               std::function<torch::Tensor(const torch::Tensor& logits, const Batch& inputs)> losses = {});

/// `n` of the inputs of an observation, drawn from `rng` (all in a random order, if there are fewer), and
/// their corrupted partners by Observation::corrupted. `n` = 0: circuit_examples_by_length().
struct CircuitExamples {
  Batch clean, corrupted;
};
ORRERY_API CircuitExamples circuit_examples(const Observation& observation, int64_t n, torch::Generator rng);
/// 128 inputs, or of long ones as many as have about 2,048 tokens, but at least 16: every pass runs all of
/// them, and a graph takes hundreds of passes.
ORRERY_API int64_t circuit_examples_by_length(const TaskSpec& spec);

// Scores of edges. All are the fall of the metric, m(clean) - m(patched): the sign is that of how much the
// edge helps, the opposite of the papers' m(patched) - m(clean). float64.

/// The effect of each edge alone, measured: one pass for each; [n_edges].
ORRERY_API torch::Tensor exact_edge_scores(const CircuitPatching& patching, const Objective& metric);
/// The effect of each node, all edges out of it corrupted: [n_nodes], 0 for the logits.
ORRERY_API torch::Tensor exact_node_scores(const CircuitPatching& patching, const Objective& metric);
/// The effect of a path, as CircuitPatching::path_logits.
ORRERY_API double path_score(const CircuitPatching& patching, const Objective& metric,
                             const std::vector<int64_t>& edges);
/// Edge attribution patching (Syed et al. 2023, arXiv 2310.10348): the first-order estimate, from two forward
/// passes and one backward; [n_edges]. Exact where the metric is linear in what the edge carries.
ORRERY_API torch::Tensor eap_scores(const CircuitPatching& patching, const Objective& metric);
/// EAP-IG (Hanna et al. 2024, arXiv 2403.17806): the gradient is the mean over `steps` passes whose
/// embeddings lie between the corrupted and the clean ones. They are the midpoints (k - 1/2)/steps, where the
/// authors' code has k/steps. Throws orrery::UsageError unless steps >= 1.
ORRERY_API torch::Tensor eap_ig_scores(const CircuitPatching& patching, const Objective& metric,
                                       int64_t steps = 5);

/// How far estimated scores are from the measured ones. Correlations are NaN where either is constant.
struct CircuitAgreement {
  double correlation = 0;       ///< Pearson's
  double rank_correlation = 0;  ///< Spearman's, of the absolute values, ties averaged
  double largest = 0;           ///< the largest absolute difference, in units of the metric
};
ORRERY_API CircuitAgreement agreement(const torch::Tensor& scores, const torch::Tensor& exact);

/// The metric of the whole network and of none of it (every edge corrupted).
struct CircuitBounds {
  double whole = 0, empty = 0;
  /// (m - empty) / (whole - empty): 0 for nothing, 1 for the whole. NaN where the two are equal.
  ORRERY_API double share(double m) const;
};
ORRERY_API CircuitBounds circuit_bounds(const CircuitPatching& patching, const Objective& metric);

/// Circuits of the edges with the largest absolute scores, by size.
struct CircuitCurve {
  std::vector<int64_t> sizes;  ///< edges kept, ascending from 0 to n_edges
  /// Of the circuit, (m(C) - m(empty)) / (m(M) - m(empty)); 1 is the network.
  std::vector<double> faithfulness;
  /// The same of the network without the circuit, m(M \ C) in place of m(C): 0 if nothing outside of the
  /// circuit does its work.
  std::vector<double> completeness;
  /// The area under faithfulness cut off to [0, 1], against the share of edges: 1 if one edge were enough.
  double area = 0;
};
/// Edges by descending absolute score; of equal ones the first comes first.
ORRERY_API std::vector<int64_t> by_importance(const torch::Tensor& scores);
/// Sizes of circuits to try: all up to `most`; of more edges about half as many sizes, evenly spread by their
/// logarithms.
ORRERY_API std::vector<int64_t> circuit_sizes(int64_t n_edges, int64_t most = 48);
ORRERY_API CircuitCurve circuit_curve(const CircuitPatching& patching, const Objective& metric,
                                      const std::vector<int64_t>& order, const std::vector<int64_t>& sizes);
/// The null: faithfulness of `draws` random sets of edges of these sizes, float64 [draws, sizes]. The sets of
/// one draw are nested.
ORRERY_API torch::Tensor random_faithfulness(const CircuitPatching& patching, const Objective& metric,
                                             const std::vector<int64_t>& sizes, int64_t draws,
                                             torch::Generator rng);
/// The area as in CircuitCurve.
ORRERY_API double circuit_area(const std::vector<int64_t>& sizes, const std::vector<double>& faithfulness);

/// A set of edges, and how well it does without the rest.
struct Circuit {
  std::vector<int64_t> edges;  ///< ascending
  double faithfulness = 0, completeness = 0;
};
ORRERY_API Circuit circuit_of(const CircuitPatching& patching, const Objective& metric,
                              const torch::Tensor& kept);

/// The smallest circuit of faithfulness `share` or more that the order gives: the first so many edges, found
/// between two of `sizes` by bisection; of these the connected ones; and of these, from the last to the
/// first, each is left out if the share is reached without it. So no edge can be spared, but another order
/// may give a smaller circuit.
ORRERY_API Circuit smallest_circuit(const CircuitPatching& patching, const Objective& metric,
                                    const std::vector<int64_t>& order, const std::vector<int64_t>& sizes,
                                    double share = 0.95);

/// ACDC (Conmy et al. 2023): receivers from the logits back, and senders of each from the last to the first;
/// an edge is corrupted for good if that changes the metric by less than `threshold`, a share of m(M) -
/// m(empty). Theirs is a threshold on a rise of the KL divergence. Then the connected edges.
ORRERY_API Circuit acdc(const CircuitPatching& patching, const Objective& metric, double threshold);

/// How to find the circuit of a network.
struct CircuitSearch {
  enum class Method { exact, eap, eap_ig, acdc };
  Method method =
      Method::exact;        ///< what orders the edges; acdc: the exact scores, and the circuit is ACDC's
  int64_t ig_steps = 5;     ///< of eap_ig
  double share = 0.95;      ///< faithfulness of the smallest circuit
  double threshold = 0.01;  ///< of acdc
  int64_t draws = 10;       ///< random orders of the null
  bool estimates = true;    ///< compare eap and eap_ig with the exact scores
  /// Called before each pass: what it is for ("edges", "random sets"), how many of this kind are done, and at
  /// most how many there are. It may throw, which ends the search.
  std::function<void(const std::string& what, int64_t done, int64_t of)> progress = {};
  friend Names<Method> names_of(Method) {
    return {
        {"exact", Method::exact}, {"eap", Method::eap}, {"eap_ig", Method::eap_ig}, {"acdc", Method::acdc}};
  }
};

/// What the search found.
struct FoundCircuit {
  CircuitBounds bounds;
  torch::Tensor scores;  ///< float64 [n_edges], by the method
  torch::Tensor nodes;   ///< float64 [n_nodes], exact
  CircuitCurve curve;
  torch::Tensor random;    ///< float64 [draws, sizes of the curve]
  double random_area = 0;  ///< the mean over draws
  Circuit circuit;
  /// The mean faithfulness of `draws` random sets as large as the circuit.
  double random_faithfulness = 0;
  CircuitAgreement eap, eap_ig;  ///< NaN unless asked for
};
/// Draws from `rng` for the null only.
ORRERY_API FoundCircuit find_circuit(const CircuitPatching& patching, const Objective& metric,
                                     const CircuitSearch& search, torch::Generator rng);

/// kind "circuit": edges (names, by descending absolute score), scores (of these, as shares of m(M) -
/// m(empty)), faithfulness, completeness, n_edges (of the graph), metric, method.
ORRERY_API Finding circuit_finding(const CircuitGraph& graph, const FoundCircuit& found,
                                   const std::string& metric, const std::string& method);

}  // namespace orrery
