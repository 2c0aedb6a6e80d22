// Inside the import room only: the constructors that a pickle may name, and what they make.
#pragma once

#include <string>
#include <vector>

#include "engine/import/pickle.h"

namespace orrery::engine::pickle {

/// Whether a pickle may name it, as "module.name".
bool known_global(const std::string& name);

/// What calling `global` with `arguments` makes. Throws orrery::Error, which says what was expected, where
/// they do not fit, or `global` is nothing to be called.
Object construct(const std::string& global, const std::vector<Ref>& arguments);

/// Sets the state of an object, as pickles do after constructing some. State that has no meaning here, such
/// as the _metadata of a state dict, is dropped.
void build(Object& object, Ref state);

/// The storage that PyTorch's persistent id names. Throws orrery::Error.
Object storage_of(Ref persistent_id, const FindStorage& find_storage);

}  // namespace orrery::engine::pickle
