// The weights of a transformer as tensors at hand; the plain and the read-out forward pass share them.
#pragma once

#include <orrery/transformer.h>

#include <vector>

#include "sdk/model/plus.h"

namespace orrery {

/// A normalisation of rows; weights are undefined where it has none.
struct Norm {
  TransformerConfig::Normalization type = TransformerConfig::Normalization::none;
  double eps = 1e-5;
  torch::Tensor w, b;  // [d_model]
};

struct BlockWeights {
  Norm ln1, ln2;
  torch::Tensor W_Q, W_K, W_V;  // [n_heads, d_model, d_head]
  torch::Tensor b_Q, b_K, b_V;  // [n_heads, d_head]; undefined where attention has no biases
  torch::Tensor W_O, b_O;       // [n_heads, d_head, d_model], [d_model]
  torch::Tensor W_gate;         // [d_model, d_mlp]; undefined unless gated_mlp
  torch::Tensor W_in, b_in;     // [d_model, d_mlp], [d_mlp]; undefined where attn_only
  torch::Tensor W_out, b_out;   // [d_mlp, d_model], [d_model]
};

struct TransformerWeights {
  TransformerConfig config;
  int64_t d_vocab_out = 0, pad_token = -1;
  torch::Tensor W_E, W_pos, W_U, b_U;  // W_pos and W_U may be undefined
  Norm ln_final;
  std::vector<BlockWeights> blocks;
};

/// Throws orrery::UsageError if options contradict each other or the task.
void check_config(const TransformerConfig& config, const TaskSpec& spec);

/// x [..., d_model], normalised along its last dimension.
torch::Tensor normalise(const torch::Tensor& x, const Norm& norm);
/// x [..., d_model] times W [n_heads, d_model, d_head], as one matrix product: [..., n_heads, d_head].
torch::Tensor project_heads(const torch::Tensor& x, const torch::Tensor& W);
/// z [..., n_heads, d_head] times W_O, summed over heads: [..., d_model].
torch::Tensor join_heads(const torch::Tensor& z, const torch::Tensor& W_O);
/// The MLP's activation function.
torch::Tensor activate(const torch::Tensor& pre, TransformerConfig::ActFn act_fn);
/// The logits of the residual stream behind the last block, [..., d_model]: [..., d_vocab_out].
torch::Tensor unembed(const torch::Tensor& resid, const TransformerWeights& weights);

/// The pass of Model::fast_read_out: in the last layer, queries, MLP and unembedding at the output positions
/// only; what depends on (token, position) alone is computed once per distinct pair. Null for options that it
/// does not know.
std::unique_ptr<ReadOutPass> make_read_out(const TransformerWeights& weights, const ReadOutRequest& request);
/// Whether that pass keeps these hook points: "blocks.L.mlp.hook_pre" and "hook_post" of the last layer L.
bool read_out_keeps(const TransformerWeights& weights, const std::vector<std::string>& hook_points);

}  // namespace orrery
