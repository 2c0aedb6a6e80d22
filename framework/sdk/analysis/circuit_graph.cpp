// The graph of a network: its nodes and edges, and whether it is the network.
#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "sdk/analysis/circuit_parts.h"

namespace orrery {
namespace {

using Kind = CircuitStage::Kind;

void number_stages(CircuitGraph::Parts& parts) {
  int64_t node = 0, edge = 0;
  for (CircuitStage& stage : parts.stages) {
    stage.first_node = node;
    node += stage.n_nodes;
    parts.stage_of_node.resize(node, &stage - parts.stages.data());
    for (int64_t i = stage.first_read; i < stage.first_read + stage.n_read; ++i)
      stage.n_senders += parts.stages[i].n_nodes;
    if (stage.kind != Kind::embeddings) stage.n_inputs = stage.n_nodes * stage.n_parts();
    stage.first_edge = edge;
    edge += stage.n_edges();
  }
}

void name_edges(CircuitGraph::Parts& parts) {
  const char* const of_heads[] = {"q", "k", "v"};
  for (const CircuitStage& stage : parts.stages)
    for (int64_t input = 0; input < stage.n_inputs; ++input) {
      const int64_t receiver = stage.first_node + input % stage.n_nodes;
      const std::string part = stage.kind == Kind::heads ? of_heads[input / stage.n_nodes] : "";
      const int64_t first = parts.stages[stage.first_read].first_node;
      for (int64_t sender = first; sender < first + stage.n_senders; ++sender)
        parts.edges.push_back({sender, receiver, part,
                               fmt::format("{} -> {}{}{}", parts.nodes[sender].name,
                                           parts.nodes[receiver].name, part.empty() ? "" : " ", part)});
    }
}

[[noreturn]] void refuse_graph(const std::string& reason) {
  throw UsageError("there is no circuit graph of this network: " + reason,
                   "orrery/circuit.h says which networks have one");
}

// The largest difference from the logits of `model`, as a share of the largest logit.
double error_of(const CircuitGraph& graph, Model& model, const TaskSpec& spec, const torch::Tensor& tokens) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor positions = torch::tensor(spec.read_out, torch::kInt64);
  const torch::Tensor expected =
      model.forward(tokens.to(model.device())).to(torch::kCPU, torch::kFloat64).index_select(1, positions);
  const torch::Tensor own = graph.logits(tokens.to(torch::kCPU)).to(torch::kFloat64);
  const double scale = std::max(1e-30, expected.abs().max().item<double>());
  return (own - expected).abs().max().item<double>() / scale;
}

std::vector<std::string> names_of_edges(const CircuitGraph& graph) {
  std::vector<std::string> names;
  for (const CircuitEdge& edge : graph.edges()) names.push_back(edge.name);
  return names;
}

[[noreturn]] void no_such(const char* what, const std::string& name, const std::vector<std::string>& known) {
  const std::string close = nearest(name, known);
  throw Error(fmt::format("the graph has no {} \"{}\"", what, name),
              close.empty() ? "" : fmt::format("did you mean \"{}\"?", close));
}

}  // namespace

CircuitGraph::CircuitGraph(Model& model, const TaskSpec& spec, const torch::Tensor& tokens,
                           const CircuitOptions& options) {
  const std::string reason = refusal(model, spec, options);
  if (!reason.empty()) refuse_graph(reason);
  if (tokens.dim() != 2 || tokens.size(0) == 0)
    throw Error("a circuit graph is compared with its network on tokens [n, n_ctx], and there are none");
  auto parts = std::make_shared<Parts>(circuit_parts(model, spec, options));
  number_stages(*parts);
  name_edges(*parts);
  parts_ = parts;
  const double error =
      error_of(*this, model, spec, tokens.narrow(0, 0, std::min<int64_t>(32, tokens.size(0))));
  if (!(error <= 1e-4))
    refuse_graph(fmt::format("the logits of its graph differ from its own by {:.2g} of the largest", error));
}

const std::vector<CircuitNode>& CircuitGraph::nodes() const { return parts_->nodes; }
const std::vector<CircuitEdge>& CircuitGraph::edges() const { return parts_->edges; }

int64_t CircuitGraph::edge(const std::string& name) const {
  for (size_t i = 0; i < edges().size(); ++i)
    if (edges()[i].name == name) return static_cast<int64_t>(i);
  no_such("edge", name, names_of_edges(*this));
}

std::vector<int64_t> CircuitGraph::edges_from(const std::string& node) const {
  std::vector<int64_t> from;
  std::vector<std::string> known;
  for (const CircuitNode& each : nodes()) known.push_back(each.name);
  if (std::find(known.begin(), known.end(), node) == known.end()) no_such("node", node, known);
  for (size_t i = 0; i < edges().size(); ++i)
    if (nodes()[edges()[i].sender].name == node) from.push_back(static_cast<int64_t>(i));
  return from;
}

torch::Tensor CircuitGraph::logits(const torch::Tensor& tokens) const {
  return circuit_pass(*parts_, parts_->embed(tokens.to(torch::kCPU))).back()[0];
}

torch::Tensor CircuitGraph::connected(const torch::Tensor& kept) const {
  const torch::Tensor chosen = kept.to(torch::kCPU, torch::kBool).contiguous();
  if (chosen.dim() != 1 || chosen.size(0) != n_edges())
    throw Error(fmt::format("the graph has {} edges, and kept has {} entries", n_edges(), chosen.numel()));
  const bool* const keep = chosen.data_ptr<bool>();
  // Nodes and edges are in the order of the forward pass.
  std::vector<char> fed(nodes().size()), read(nodes().size());
  for (int64_t node = 0; node < parts_->stages[0].n_nodes; ++node) fed[node] = 1;
  for (int64_t e = 0; e < n_edges(); ++e)
    if (keep[e] && fed[edges()[e].sender]) fed[edges()[e].receiver] = 1;
  read.back() = 1;
  for (int64_t e = n_edges() - 1; e >= 0; --e)
    if (keep[e] && read[edges()[e].receiver]) read[edges()[e].sender] = 1;
  torch::Tensor result = torch::zeros({n_edges()}, torch::kBool);
  for (int64_t e = 0; e < n_edges(); ++e)
    if (keep[e] && fed[edges()[e].sender] && read[edges()[e].receiver]) result[e] = true;
  return result;
}

}  // namespace orrery
