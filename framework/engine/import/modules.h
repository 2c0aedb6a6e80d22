// Private to the import room: what pickled objects hold besides lists and dicts of tensors. Free of LibTorch.
#pragma once

#include <optional>
#include <string>

#include "engine/import/networks.h"

namespace orrery::engine {

/// Whether `object` is a pickled torch.nn.Module.
bool is_module(pickle::Ref object);
/// Its parameters and buffers and those of all modules below, by their names in its state_dict().
StoredTensors tensors_of_module(pickle::Ref module);

/// The tensors of a dict whose other entries are only numbers, text and None, or of a list of (name, tensor).
/// Nothing if that is not a network.
std::optional<StoredTensors> tensors_of_container(pickle::Ref object);

/// Reads the configuration `object` (a dict, a dataclass, a Namespace, with what lies within) into `found`.
void read_settings(pickle::Ref object, const std::string& name, FoundNetworks& found);

}  // namespace orrery::engine
