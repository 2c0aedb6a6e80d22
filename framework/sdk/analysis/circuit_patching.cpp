// Mixtures of a clean and a corrupted pass.
#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "sdk/analysis/circuit_parts.h"

namespace orrery {
namespace {

using Kind = CircuitStage::Kind;
using Parts = CircuitGraph::Parts;
using torch::Tensor;

// The dimension of a stage's output that runs over its nodes.
int64_t node_dim(const CircuitStage& stage) { return stage.kind == Kind::neurons ? 2 : 0; }

// The rows of a patch that belong to some nodes of a stage: of heads q, k and v.
Tensor rows_of_units(const CircuitStage& stage, const Tensor& units) {
  std::vector<Tensor> rows;
  for (int64_t part = 0; part < stage.n_parts(); ++part) rows.push_back(units + part * stage.n_nodes);
  return torch::cat(rows);
}

Tensor replaced(const CircuitStage& stage, const Tensor& outputs, const Tensor& units, const Tensor& by) {
  return outputs.index_copy(node_dim(stage), units, by);
}

// A pass with some edges corrupted, which computes those nodes only that neither of the two passes has.
class SparsePass {
 public:
  SparsePass(const Parts& parts, const CircuitPatching::Passes& passes, const Tensor& kept)
      : parts_(parts), passes_(passes), kept_(kept), keep_(kept.data_ptr<bool>()) {
    outputs_ = {passes.clean[0]};
    state_.assign(parts.nodes.size(), clean);
  }

  Tensor logits() {
    for (size_t i = 1; i < parts_.stages.size(); ++i) outputs_.push_back(stage(i));
    return outputs_.back()[0];
  }

 private:
  enum State : char { clean, corrupted, other };

  // What node `unit` of a stage is, from what reaches it.
  State reached(const CircuitStage& stage, int64_t unit) const {
    bool as_clean = true, as_corrupted = true;
    const int64_t first = parts_.stages[stage.first_read].first_node;
    for (int64_t part = 0; part < stage.n_parts(); ++part) {
      const int64_t row = stage.first_edge + (unit + part * stage.n_nodes) * stage.n_senders;
      for (int64_t column = 0; column < stage.n_senders; ++column) {
        const int64_t sender = first + column;
        const State carried = keep_[row + column] ? static_cast<State>(state_[sender]) : corrupted;
        if (carried != other && passes_.same[sender]) continue;
        as_clean = as_clean && carried == clean;
        as_corrupted = as_corrupted && carried == corrupted;
      }
    }
    return as_clean ? clean : as_corrupted ? corrupted : other;
  }

  Tensor stage(size_t number) {
    const CircuitStage& stage = parts_.stages[number];
    std::vector<int64_t> as_corrupted, computed;
    for (int64_t unit = 0; unit < stage.n_nodes; ++unit) {
      const State state = reached(stage, unit);
      state_[stage.first_node + unit] = state;
      if (state == corrupted) as_corrupted.push_back(unit);
      if (state == other) computed.push_back(unit);
    }
    Tensor result = passes_.clean[number];
    if (!as_corrupted.empty()) {
      const Tensor units = torch::tensor(as_corrupted, torch::kInt64);
      result = replaced(stage, result, units, passes_.corrupted[number].index_select(node_dim(stage), units));
    }
    if (computed.empty()) return result;
    const Tensor units = torch::tensor(computed, torch::kInt64);
    const Tensor keep =
        circuit_rows(stage, kept_).index_select(0, rows_of_units(stage, units)).to(parts_.dtype);
    const CircuitMix mix{keep, 1 - keep, &passes_.corrupted};
    const bool all = static_cast<int64_t>(computed.size()) == stage.n_nodes;
    const Tensor by = circuit_stage(parts_, number, outputs_, mix, all ? Tensor() : units);
    return all ? by : replaced(stage, result, units, by);
  }

  const Parts& parts_;
  const CircuitPatching::Passes& passes_;
  const Tensor kept_;
  const bool* keep_;
  CircuitOutputs outputs_;
  std::vector<char> state_;
};

bool is_set(const Tensor& kept) {
  if (kept.scalar_type() == torch::kBool) return true;
  return !kept.requires_grad() && ((kept == 0) | (kept == 1)).all().item<bool>();
}

std::vector<char> unchanged(const Parts& parts, const CircuitPatching::Passes& passes) {
  std::vector<char> same;
  for (size_t i = 0; i < parts.stages.size(); ++i) {
    const CircuitStage& stage = parts.stages[i];
    for (int64_t unit = 0; unit < stage.n_nodes; ++unit)
      same.push_back(passes.clean[i]
                         .select(node_dim(stage), unit)
                         .equal(passes.corrupted[i].select(node_dim(stage), unit)));
  }
  return same;
}

// Where an edge ends within its stage.
struct EdgeEnd {
  size_t stage;
  int64_t unit, row, column;  // `row` among the inputs of the unit: 0, or of heads 0 to 2
};

EdgeEnd end_of(const CircuitGraph& graph, int64_t edge) {
  const Parts& parts = graph.parts();
  const auto stage = static_cast<size_t>(parts.stage_of_node[graph.edges()[edge].receiver]);
  const CircuitStage& to = parts.stages[stage];
  const int64_t input = (edge - to.first_edge) / to.n_senders;
  return {stage, input % to.n_nodes, input / to.n_nodes, (edge - to.first_edge) % to.n_senders};
}

void check_path(const CircuitGraph& graph, const std::vector<int64_t>& path) {
  const auto fault = [](const std::string& what) { throw Error("this is no path to the logits: " + what); };
  if (path.empty()) fault("it has no edges");
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] < 0 || path[i] >= graph.n_edges()) fault(fmt::format("there is no edge {}", path[i]));
    const CircuitEdge& edge = graph.edges()[path[i]];
    if (i > 0 && edge.sender != graph.edges()[path[i - 1]].receiver)
      fault(fmt::format("\"{}\" does not begin where the edge before it ends", edge.name));
  }
  const CircuitEdge& last = graph.edges()[path.back()];
  if (graph.nodes()[last.receiver].name != "logits") fault(fmt::format("it ends with \"{}\"", last.name));
}

}  // namespace

CircuitPatching::CircuitPatching(const CircuitGraph& graph, const Tensor& clean, const Tensor& corrupted)
    : graph_(graph) {
  if (clean.dim() != 2 || clean.sizes() != corrupted.sizes())
    throw Error(
        fmt::format("clean inputs of shape {} and corrupted ones of shape {}; expected two of shape "
                    "[batch, n_ctx]",
                    fmt::join(clean.sizes(), ", "), fmt::join(corrupted.sizes(), ", ")));
  const torch::NoGradGuard no_grad;
  const Parts& parts = graph.parts();
  auto passes = std::make_shared<Passes>();
  passes->clean = circuit_pass(parts, parts.embed(clean.to(torch::kCPU)));
  passes->corrupted = circuit_pass(parts, parts.embed(corrupted.to(torch::kCPU)));
  passes->same = unchanged(parts, *passes);
  clean_logits_ = passes->clean.back()[0];
  corrupted_logits_ = passes->corrupted.back()[0];
  passes_ = passes;
}

Tensor CircuitPatching::logits(const Tensor& kept) const {
  if (kept.dim() != 1 || kept.size(0) != graph_.n_edges())
    throw Error(
        fmt::format("the graph has {} edges, and kept has {} entries", graph_.n_edges(), kept.numel()));
  const Parts& parts = graph_.parts();
  if (is_set(kept)) {
    const torch::NoGradGuard no_grad;
    return SparsePass(parts, *passes_, kept.to(torch::kCPU, torch::kBool).contiguous()).logits();
  }
  const Tensor keep = kept.to(torch::kCPU, parts.dtype);
  return circuit_pass(parts, passes_->clean[0], keep, 1 - keep, &passes_->corrupted).back()[0];
}

Tensor CircuitPatching::path_logits(const std::vector<int64_t>& path) const {
  check_path(graph_, path);
  const torch::NoGradGuard no_grad;
  const Parts& parts = graph_.parts();
  const int64_t first = graph_.edges()[path[0]].sender;
  CircuitOutputs carried = passes_->clean;  // but for the node that carries the corrupted input on
  const auto put = [&](int64_t node, const CircuitOutputs& from, const Tensor& by) {
    const auto number = static_cast<size_t>(parts.stage_of_node[node]);
    const CircuitStage& stage = parts.stages[number];
    const Tensor unit = torch::tensor({node - stage.first_node}, torch::kInt64);
    carried = passes_->clean;
    carried[number] = replaced(stage, carried[number], unit,
                               by.defined() ? by : from[number].index_select(node_dim(stage), unit));
  };
  put(first, passes_->corrupted, {});
  Tensor out;
  for (const int64_t edge : path) {
    const EdgeEnd end = end_of(graph_, edge);
    const CircuitStage& stage = parts.stages[end.stage];
    Tensor keep = torch::ones({stage.n_parts(), stage.n_senders}, parts.dtype);
    keep[end.row][end.column] = 0;
    const Tensor units = torch::tensor({end.unit}, torch::kInt64);
    out = circuit_stage(parts, end.stage, passes_->clean, {keep, 1 - keep, &carried}, units);
    put(graph_.edges()[edge].receiver, {}, out);
  }
  return out[0];
}

Tensor CircuitPatching::slopes(const Objective& metric, double alpha) const {
  const at::AutoGradMode with_gradients(true);
  const Parts& parts = graph_.parts();
  CircuitOutputs differences;
  for (size_t i = 0; i + 1 < parts.stages.size(); ++i)
    differences.push_back(passes_->clean[i] - passes_->corrupted[i]);
  const Tensor embeddings = passes_->corrupted[0] + alpha * differences[0];
  const Tensor more = torch::zeros({graph_.n_edges()}, torch::TensorOptions(parts.dtype).requires_grad(true));
  const Tensor logits = circuit_pass(parts, embeddings, {}, more, &differences).back()[0];
  const Tensor value = metric(logits);
  if (value.dim() != 0 || !value.requires_grad())
    throw Error("the metric of a circuit is to be a differentiable scalar of the logits");
  return torch::autograd::grad({value}, {more})[0].to(torch::kFloat64);
}

}  // namespace orrery
