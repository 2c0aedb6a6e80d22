// Private to the import room: rotary positions, which are no weights but may lie beside them as buffers.
#pragma once

#include <orrery/fields.h>

#include <string>

#include "engine/import/networks.h"

namespace orrery::engine {

/// [model] as the buffers tell it: positional_embedding_type, rotary_dim, rotary_base and, of
/// TransformerLens's, rotary_adjacent_pairs. Empty without such buffers (`inv_freq`, `rotary_sin` and
/// `rotary_cos`). Throws orrery::UsageError, naming the buffer, if its frequencies are not rotary_base^(-2i /
/// rotary_dim).
Values rotary_of(const StoredTensors& tensors);

}  // namespace orrery::engine
