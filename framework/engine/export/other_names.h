// Private to the export room: a transformer's weights in the names of other code bases.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/config/settings.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {

/// The state dict of TransformerLens's HookedTransformer: every weight that it has for such a network, zero
/// where ours has none, its masks and the angles of rotary positions, and W_U also where it is tied.
/// `weights` are a checkpoint's. Throws orrery::UsageError, opening with `where`, if HookedTransformer
/// computes something else.
NamedTensors transformer_lens_weights(const NamedTensors& weights, const PluginChoice& model, int64_t n_ctx,
                                      const std::string& where);
/// The arguments of its HookedTransformerConfig. `n_ctx`: the task's, for a model that has no other.
nlohmann::ordered_json transformer_lens_config(const NamedTensors& weights, const PluginChoice& model,
                                               int64_t n_ctx);

/// The weights in the names and axes of nanoGPT ("transformer.h.0.attn.c_attn.weight", [out, in]). Throws
/// orrery::UsageError, opening with `where`, if it has no name for one of them.
/// What nanoGPT's own class computes otherwise than this network: "attention_dir is bidirectional".
std::vector<std::string> other_than_nanogpt(const PluginChoice& model);
NamedTensors nanogpt_weights(const NamedTensors& weights, const PluginChoice& model,
                             const std::string& where);

}  // namespace orrery::engine
