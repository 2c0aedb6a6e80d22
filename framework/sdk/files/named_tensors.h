// Looking up tensors by name, and loading a checkpoint into a model.
#pragma once

#include <orrery/export.h>
#include <orrery/model.h>

#include <string>

#include "sdk/files/tensors.h"

namespace orrery {

/// Throws orrery::Error if there is no tensor of this name.
ORRERY_API const torch::Tensor& find_named(const NamedTensors& tensors, const std::string& name);
/// Copies the tensor of this name into `target`. Throws orrery::Error if it is missing or of another shape.
ORRERY_API void copy_named(const NamedTensors& tensors, const std::string& name, torch::Tensor target);

/// The weights of a model, detached; they share memory with it.
ORRERY_API NamedTensors weights_of(const Model& model);
/// Copies `tensors` into the weights of a model. Throws orrery::Error, listing every name that is missing,
/// unknown or of another shape; the model is then unchanged.
ORRERY_API void load_weights(Model& model, const NamedTensors& tensors);

}  // namespace orrery
