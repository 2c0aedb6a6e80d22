// Refuses a network that this machine has no memory for, before it is allocated: an allocation that the
// system grants and cannot keep stops the whole machine.
#pragma once

#include <orrery/export.h>

#include <cstdint>
#include <string>
#include <vector>

namespace orrery {

/// The machine's memory, in bytes.
ORRERY_API double memory_of_machine();

/// Throws orrery::UsageError if training `n_parameters` float32 numbers, with a gradient and two moments for
/// each, takes more than `memory` bytes. `what`: "the network", "the weight blocks.0.mlp.W_in".
ORRERY_API void refuse_without_room(double n_parameters, const std::string& what,
                                    double memory = memory_of_machine());

/// The same for one weight of this shape.
void refuse_without_room(const std::vector<int64_t>& shape, const std::string& what);

}  // namespace orrery
