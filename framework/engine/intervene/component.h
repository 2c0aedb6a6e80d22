// Parts of a network that can be taken out, or exchanged for what they are elsewhere.
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
  std::string name;  ///< as a person would say it: "head 0.2"
  std::string hook;  ///< the hook point whose activation it is part of
  /// The activation with this part taken from `other`, which has the activation's shape.
  std::function<torch::Tensor(const torch::Tensor& activation, const torch::Tensor& other)> exchange;
};

/// Head `head` of layer `layer`: its rows of blocks.L.attn.hook_z. Each of these throws orrery::UsageError,
/// saying what the model has, where there is no such part.
Component head_component(const Model& model, int64_t layer, int64_t head);
/// Neurons of layer `layer`, after the activation function (mlp.hook_post where the model is an mlp, whose
/// one layer is 0).
Component neuron_component(const Model& model, int64_t layer, const std::vector<int64_t>& neurons,
                           const std::string& name);
/// The part of the activation at `hook` that lies in the span of the rows of `directions` [d] or [k, d], d
/// being the size of its last dimension.
Component direction_component(const Model& model, const std::string& hook, const torch::Tensor& directions,
                              const std::string& name);
/// The whole activation, or what of it belongs to one position of the context.
Component whole_component(const Model& model, const std::string& hook, std::optional<int64_t> position = {});

/// Every head, and the neurons of every layer as one: what is tried where nothing is named.
std::vector<Component> main_components(const Model& model);

}  // namespace orrery::engine
