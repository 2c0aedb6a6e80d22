// Passes through a graph, stage by stage.
#include <ATen/Functions.h>

#include <limits>

#include "sdk/analysis/circuit_parts.h"
#include "sdk/model/plus.h"

namespace orrery {
namespace {

using Kind = CircuitStage::Kind;
using Parts = CircuitGraph::Parts;
using torch::Tensor;

Tensor chosen(const Tensor& x, int64_t dim, const Tensor& units) {
  return units.defined() && x.defined() ? x.index_select(dim, units) : x;
}

// The columns of a patch that belong to the senders of one stage; undefined stays so.
Tensor columns(const Tensor& patch, int64_t first, int64_t n) {
  return patch.defined() ? patch.narrow(1, first, n) : patch;
}

// What the senders of one stage add to the stream: [inputs, batch, positions, d]. patch: [inputs, senders].
Tensor weighted(const CircuitStage& from, const Tensor& sent, const Tensor& patch) {
  if (from.kind == Kind::neurons) {
    const Tensor post = patch.defined() ? patch.unsqueeze(1).unsqueeze(1) * sent
                                        : sent.unsqueeze(0);  // [inputs, batch, pos, n]
    return torch::matmul(post, from.W_out);
  }
  if (!patch.defined()) return sent.sum(0, /*keepdim=*/true);
  std::vector<int64_t> shape = sent.sizes().vec();
  shape[0] = patch.size(0);
  return patch.mm(sent.reshape({sent.size(0), -1})).view(shape);
}

// What they add to the pre-activations of single neurons, each of which has an input of its own: projected
// first, then summed. [batch, positions, neurons].
Tensor weighted_into_neurons(const CircuitStage& from, const Tensor& sent, const Tensor& W_in,
                             const Tensor& units, const Tensor& patch) {
  if (from.kind == Kind::neurons) {
    Tensor through = W_in.defined() ? from.W_out.matmul(W_in) : chosen(from.W_out, 1, units);
    if (patch.defined()) through = through * patch.t();
    return torch::matmul(sent, through);
  }
  const auto project = [&](const Tensor& x) {
    return W_in.defined() ? torch::matmul(x, W_in) : chosen(x, -1, units);
  };
  if (!patch.defined()) return project(sent.sum(0));
  return (project(sent) * patch.t().unsqueeze(1).unsqueeze(1)).sum(0);
}

// The sum of `add(stage, what it sends, its patch)` over the stages that are read.
template <class Add>
Tensor sum_of_senders(const Parts& parts, const CircuitStage& stage, const CircuitOutputs& outputs,
                      const CircuitMix& mix, const Add& add) {
  Tensor sum;
  const auto more = [&](const Tensor& x) { sum = sum.defined() ? sum + x : x; };
  int64_t column = 0;
  for (int64_t i = stage.first_read; i < stage.first_read + stage.n_read; ++i) {
    const CircuitStage& from = parts.stages[i];
    more(add(from, outputs[i], columns(mix.keep, column, from.n_nodes)));
    if (mix.other.defined()) more(add(from, (*mix.alternative)[i], columns(mix.other, column, from.n_nodes)));
    column += from.n_nodes;
  }
  return sum;
}

// The input of each receiver, not yet normalised: [inputs or 1, batch, positions, d].
Tensor stream_into(const Parts& parts, const CircuitStage& stage, const CircuitOutputs& outputs,
                   const CircuitMix& mix) {
  return plus(sum_of_senders(parts, stage, outputs, mix, weighted), stage.constant);
}

// x: [heads or 1, batch, positions, d], W: [heads, d, d_head] -> [heads, batch, positions, d_head]
Tensor into_heads(const Tensor& x, const Tensor& W, const Tensor& b) {
  const Tensor flat = torch::matmul(x.reshape({x.size(0), -1, x.size(-1)}), W);
  const Tensor y = flat.view({W.size(0), x.size(1), x.size(2), W.size(2)});
  return b.defined() ? y + b.unsqueeze(1).unsqueeze(1) : y;
}

Tensor pattern_of_scores(const Parts& parts, Tensor scores) {
  const int64_t n = scores.size(-1);
  const Tensor hidden = torch::ones({n, n}, torch::kBool).triu(1);
  if (parts.causal) scores = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
  Tensor pattern = torch::softmax(scores, -1);
  if (parts.attn_coeff == 1) return pattern;
  pattern = pattern * parts.attn_coeff + (1 - parts.attn_coeff);
  return parts.causal ? pattern.masked_fill(hidden, 0) : pattern;
}

// -> [heads, batch, positions, d]
Tensor heads_out(const Parts& parts, const CircuitStage& stage, const Tensor& x, const Tensor& units) {
  const int64_t n = units.defined() ? units.size(0) : stage.n_nodes;
  const auto part = [&](int64_t i) { return x.size(0) == 1 ? x : x.narrow(0, i * n, n); };
  const auto project = [&](int64_t i, const Tensor& W, const Tensor& b) {
    return into_heads(part(i), chosen(W, 0, units), chosen(b, 0, units));
  };
  const Tensor q = project(0, stage.W_Q, stage.b_Q), k = project(1, stage.W_K, stage.b_K);
  const Tensor pattern = pattern_of_scores(parts, torch::matmul(q, k.transpose(-1, -2)) / parts.attn_scale);
  const Tensor z = torch::matmul(pattern, project(2, stage.W_V, stage.b_V));
  return into_heads(z, chosen(stage.W_O, 0, units), {});
}

Tensor layer_out(const CircuitStage& stage, const Tensor& x) {
  const Tensor linear = plus(stage.W_in.defined() ? torch::matmul(x, stage.W_in) : x, stage.b_in);
  const Tensor post =
      stage.W_gate.defined() ? stage.act(torch::matmul(x, stage.W_gate)) * linear : stage.act(linear);
  return torch::matmul(post, stage.W_out);
}

Tensor neurons_out(const Parts& parts, const CircuitStage& stage, const CircuitOutputs& outputs,
                   const CircuitMix& mix, const Tensor& units) {
  const Tensor W_in = chosen(stage.W_in, 1, units);
  Tensor pre = sum_of_senders(parts, stage, outputs, mix,
                              [&](const CircuitStage& from, const Tensor& sent, const Tensor& patch) {
                                return weighted_into_neurons(from, sent, W_in, units, patch);
                              });
  if (stage.constant.defined()) pre = pre + stage.constant.matmul(W_in);
  return stage.act(plus(pre, chosen(stage.b_in, 0, units)));
}

Tensor logits_out(const Parts& parts, const CircuitStage& stage, const Tensor& x) {
  const Tensor at = x.index_select(2, torch::tensor(parts.read_out, torch::kInt64));
  const Tensor y = normalise(at, stage.norm);
  return plus(stage.W_U.defined() ? torch::matmul(y, stage.W_U) : y, stage.b_U);
}

}  // namespace

Tensor circuit_stage(const Parts& parts, size_t number, const CircuitOutputs& outputs, const CircuitMix& mix,
                     const Tensor& units) {
  const CircuitStage& stage = parts.stages[number];
  if (stage.kind == Kind::neurons) return neurons_out(parts, stage, outputs, mix, units);
  const Tensor x = stream_into(parts, stage, outputs, mix);
  if (stage.kind == Kind::logits) return logits_out(parts, stage, x);
  const Tensor y = normalise(x, stage.norm);
  return stage.kind == Kind::heads ? heads_out(parts, stage, y, units) : layer_out(stage, y);
}

Tensor circuit_rows(const CircuitStage& stage, const Tensor& of_edges) {
  if (!of_edges.defined()) return of_edges;
  return of_edges.narrow(0, stage.first_edge, stage.n_edges()).view({stage.n_inputs, stage.n_senders});
}

CircuitOutputs circuit_pass(const Parts& parts, const Tensor& embeddings, const Tensor& keep,
                            const Tensor& other, const CircuitOutputs* alternative) {
  CircuitOutputs outputs{embeddings};
  for (size_t i = 1; i < parts.stages.size(); ++i) {
    const CircuitStage& stage = parts.stages[i];
    const CircuitMix mix{circuit_rows(stage, keep), circuit_rows(stage, other), alternative};
    outputs.push_back(circuit_stage(parts, i, outputs, mix));
  }
  return outputs;
}

}  // namespace orrery
