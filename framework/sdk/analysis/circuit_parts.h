// The stages of a graph (orrery/circuit.h) and their weights, private to circuit_*.cpp. A stage is a layer of
// nodes that are computed at once: embeddings, heads, neurons, logits. Their inputs are sums over senders, so
// a stage's patch is a matrix [inputs, senders].
#pragma once

#include <orrery/circuit.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>

#include <functional>
#include <utility>

#include "sdk/model/transformer_weights.h"

namespace orrery {

struct CircuitStage {
  enum class Kind { embeddings, heads, mlp, neurons, logits };
  Kind kind = Kind::embeddings;
  int64_t n_nodes = 0, first_node = 0;
  int64_t first_read = 0, n_read = 0;  // the stages whose nodes it reads
  int64_t n_inputs = 0;                // of heads three for each: all q, then all k, then all v
  int64_t n_senders = 0, first_edge = 0;
  // What no edge carries: added to the stream before it is normalised.
  torch::Tensor constant;  // [d], or undefined
  Norm norm;
  torch::Tensor W_Q, W_K, W_V, b_Q, b_K, b_V, W_O;  // heads
  torch::Tensor W_in, b_in, W_gate, W_out;          // mlp, neurons: W_in undefined where it is the identity
  torch::Tensor W_U, b_U;                           // logits: W_U undefined where it is the identity
  std::function<torch::Tensor(const torch::Tensor&)> act;

  int64_t n_edges() const { return n_inputs * n_senders; }
  int64_t n_parts() const { return kind == Kind::heads ? 3 : 1; }
};

struct CircuitGraph::Parts {
  std::vector<CircuitNode> nodes;
  std::vector<CircuitEdge> edges;
  std::vector<CircuitStage> stages;
  std::vector<int64_t> stage_of_node;
  torch::Dtype dtype = torch::kFloat64;
  std::vector<int64_t> read_out;  // positions of the stream at the logits
  bool causal = true;
  double attn_scale = 1, attn_coeff = 1;
  // The outputs of the embeddings, [nodes, batch, positions, d].
  std::function<torch::Tensor(const torch::Tensor& tokens)> embed;
};

/// What the nodes of a stage send: [nodes, batch, positions, d]; of neurons their activations [batch,
/// positions, nodes], which W_out takes to the stream.
using CircuitOutputs = std::vector<torch::Tensor>;

/// The input of a receiver is the sum over senders of keep * output + other * alternative. Undefined: all are
/// kept. [inputs, senders] of one stage.
struct CircuitMix {
  torch::Tensor keep, other;
  const CircuitOutputs* alternative = nullptr;
};

/// The outputs of a stage, or of those of its nodes that `units` lists (int64; undefined: all). `mix` has the
/// rows of these units only. For the logits stage: [1, batch, n_read, d_vocab_out].
torch::Tensor circuit_stage(const CircuitGraph::Parts& parts, size_t stage, const CircuitOutputs& outputs,
                            const CircuitMix& mix, const torch::Tensor& units = {});

/// A whole pass from the embeddings' outputs [nodes, batch, positions, d]. `kept` and `other`: [n_edges] or
/// undefined, as in CircuitMix. The last entry is the logits.
CircuitOutputs circuit_pass(const CircuitGraph::Parts& parts, const torch::Tensor& embeddings,
                            const torch::Tensor& keep = {}, const torch::Tensor& other = {},
                            const CircuitOutputs* alternative = nullptr);

/// The part of `of_edges` [n_edges] that belongs to a stage: [inputs, senders].
torch::Tensor circuit_rows(const CircuitStage& stage, const torch::Tensor& of_edges);

/// The stages of the framework's models, without nodes and edges. They throw UsageError for none.
CircuitGraph::Parts circuit_parts(Model& model, const TaskSpec& spec, const CircuitOptions& options);

struct CircuitPatching::Passes {
  CircuitOutputs clean, corrupted;
  std::vector<char> same;  // by node: whether it sends the same in both passes
};

}  // namespace orrery
