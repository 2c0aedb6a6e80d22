// How the operands of a op b enter a model and how its neurons reach the logits, independent of the names of
// the weights on the way: one interface to transformers (orrery/transformer.h) and mlps (orrery/mlp.h).
#pragma once

#include <orrery/export.h>
#include <orrery/probe.h>
#include <torch/types.h>

#include <cstdint>
#include <string>

namespace orrery {

/// The embedding of each token at `position`, before it mixes with other positions: [d_vocab, d] float32,
/// detached, on the CPU. It is the first of these that the model has:
///   embed.W_E                   a transformer; an mlp with one embedding
///   embed.W_E_a, embed.W_E_b    an mlp with two, for positions 0 and 1
///   hook_embed                  an mlp with a circular embedding, which is no weight: it is run once on each
///                               token
///   mlp.W_in, W_in_a, W_in_b    an mlp with rows for tokens (collapsed input, one_hot_sum): W_E W_in as one
/// Throws orrery::UsageError if it has none of them, or if an mlp does not read `position`.
ORRERY_API torch::Tensor operand_embedding(const Observation& observation, int64_t position);

/// Whether the model has exactly one layer of neurons, as neurons_to_logits requires.
ORRERY_API bool has_one_neuron_layer(const Model& model);

/// The unembedding W_U, [d, d_vocab_out] float32, detached, on the CPU: unembed.W_U, or else the transposed
/// embedding (operand_embedding) that it is tied to, including a fixed circular one. Undefined if W_out gives
/// the logits directly (collapsed output, one_hot_sum, bits; a transformer's unembedding "identity").
ORRERY_API torch::Tensor unembedding(const Observation& observation);

/// The neuron-logit map W_L = W_out W_U: [d_mlp, d_vocab_out], computed in `dtype`, detached, on the CPU: the
/// contribution of one unit of each neuron to the logits. It is W_out alone if there is no W_U. Biases and
/// normalisations behind the neurons are ignored. Throws orrery::UsageError unless the model has exactly one
/// layer of neurons.
ORRERY_API torch::Tensor neurons_to_logits(const Observation& observation,
                                           torch::Dtype dtype = torch::kFloat32);

/// The activation `hook` ("hook_pre" or "hook_post") of the neurons, [batch, n_read, d_mlp] float32 on the
/// CPU, for probes that need "*mlp.hook_pre" or "*mlp.hook_post". A reference into the observation. Throws
/// orrery::UsageError unless the model has exactly one layer of neurons and it was observed.
ORRERY_API const torch::Tensor& neuron_activations(const Observation& observation, const std::string& hook);

}  // namespace orrery
