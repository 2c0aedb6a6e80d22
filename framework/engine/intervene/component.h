// Parts of a network that can be ablated, or patched with activations from another forward pass.
#pragma once

#include <orrery/model.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace orrery::engine {

/// A part of one activation.
struct Component {
  std::string name;  ///< for display: "head 0.2"
  std::string hook;  ///< the hook point whose activation it is part of
  /// Returns `activation` with this part taken from `other`, which has the same shape.
  std::function<torch::Tensor(const torch::Tensor& activation, const torch::Tensor& other)> patch;
};

/// Head `head` of layer `layer`: its slice of blocks.L.attn.hook_z. This and the functions below throw
/// orrery::UsageError, saying what the model has, if there is no such part.
Component head_component(const Model& model, int64_t layer, int64_t head);
/// Neurons of layer `layer`, after the activation function (blocks.L.mlp.hook_post; mlp.hook_post in an mlp,
/// whose only layer is 0).
Component neuron_component(const Model& model, int64_t layer, const std::vector<int64_t>& neurons,
                           const std::string& name);
/// The projection of the activation at `hook` onto the span of the rows of `directions` [d] or [k, d], where
/// d is the size of the activation's last dimension.
Component direction_component(const Model& model, const std::string& hook, const torch::Tensor& directions,
                              const std::string& name);
/// The whole activation, or its slice at one position.
Component whole_component(const Model& model, const std::string& hook, std::optional<int64_t> position = {});

/// Every head, and the neurons of every layer together: the default components.
std::vector<Component> main_components(const Model& model);

}  // namespace orrery::engine
