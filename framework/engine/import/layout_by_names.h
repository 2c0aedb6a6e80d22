// Private to the import room: a layout for a file whose names are those of no known code base but plain
// enough.
#pragma once

#include <optional>
#include <string>

#include "engine/import/layout.h"

namespace orrery::engine {

/// What a map says of tensors that are not among those read by their names.
struct MappedParts {
  int64_t d_model = 0;     ///< 0: it does not tell
  bool attention = false;  ///< whether it has weights of attention
};

/// The layout of a transformer whose tensors have names that say which part they are
/// ("h.0.attn.c_attn.weight", "layers.1.self_attn.q_proj.weight"). Nothing if too few have. A weight's shape
/// says whether it is stored as [out, in] (torch.nn.Linear) or [in, out]; where it is square, the others do,
/// and else the name ".weight" does. Throws orrery::UsageError, opening with `where`, that names what is no
/// part of a transformer known here, or what contradicts.
std::optional<Layout> layout_by_names(const StoredTensors& tensors, const std::string& where,
                                      const MappedParts& mapped = {});

}  // namespace orrery::engine
