// Private to the import room: a layout for a perceptron made of torch.nn.Linear.
#pragma once

#include <optional>
#include <string>

#include "engine/import/layout.h"

namespace orrery::engine {

/// The layout of a chain of two or three linear layers, [out, in] as torch.nn.Linear has them, with at most
/// two embeddings before them: "fc1.weight", "0.weight", "embedding.weight". Nothing if the tensors are no
/// such chain. Throws orrery::UsageError, opening with `where`, for one that Orrery's mlp does not compute,
/// saying what it has.
std::optional<Layout> perceptron_by_names(const StoredTensors& tensors, const std::string& where);

}  // namespace orrery::engine
