// How the operands of a op b enter a model and how its neurons leave it, whatever the model calls the weights
// on the way: the same questions to a transformer (orrery/transformer.h) and to an mlp (orrery/mlp.h).
#pragma once

#include <orrery/export.h>
#include <orrery/probe.h>
#include <torch/types.h>

#include <cstdint>
#include <string>

namespace orrery {

/// What stands for the token at `position` before it meets the others: [d_vocab, d] float32, detached, on the
/// CPU. The first of these that the model has:
///   embed.W_E                   a transformer; an mlp with one embedding
///   embed.W_E_a, embed.W_E_b    an mlp with two, for positions 0 and 1
///   hook_embed                  an mlp with a circular embedding, which is no weight: it is run once on each
///                               token
///   mlp.W_in, W_in_a, W_in_b    an mlp with rows for tokens (collapsed input, one_hot_sum): W_E W_in as one
/// Throws orrery::UsageError if it has none of them, and where an mlp does not read `position`.
ORRERY_API torch::Tensor operand_embedding(const Observation& observation, int64_t position);

/// Whether neurons_to_logits has an answer: the model has exactly one layer of neurons.
ORRERY_API bool has_one_neuron_layer(const Model& model);

/// The unembedding W_U, [d, d_vocab_out] float32, detached, on the CPU: unembed.W_U, or where the model has
/// none the transposed embedding (operand_embedding) that it is tied to, a fixed circular one included.
/// Undefined where W_out gives logits itself (collapsed output, one_hot_sum, bits).
ORRERY_API torch::Tensor unembedding(const Observation& observation);

/// The neuron-logit map W_L = W_out W_U: [d_mlp, d_vocab_out], computed in `dtype`, detached, on the CPU:
/// what one unit of each neuron adds to the logits. Where there is no W_U, W_out alone is. Biases and a final
/// LayerNorm are left out. Throws orrery::UsageError unless the model has exactly one layer of neurons.
ORRERY_API torch::Tensor neurons_to_logits(const Observation& observation,
                                           torch::Dtype dtype = torch::kFloat32);

/// The activation `hook` ("hook_pre", "hook_post") of the neurons, [batch, n_read, d_mlp], for a probe that
/// needs the activation "*mlp.hook_pre" or "*mlp.hook_post". Throws orrery::UsageError unless exactly one
/// layer of neurons was observed and the model has no more.
ORRERY_API const torch::Tensor& neuron_activations(const Observation& observation, const std::string& hook);

}  // namespace orrery
