// Private to the import room: the constructors that a pickle may name, and what they make.
#pragma once

#include <string>
#include <vector>

#include "engine/import/pickle.h"

namespace orrery::engine::pickle {

/// Whether a pickle may name `name`, "module.name".
bool known_global(const std::string& name);

/// Calls `global` with `arguments`. Throws orrery::Error, saying what was expected, if they do not fit or
/// `global` is not callable.
Object construct(const std::string& global, const std::vector<Ref>& arguments);

/// Sets the state of an object, as pickles do after constructing it. Drops state that has no meaning here,
/// such as the _metadata of a state dict.
void build(Object& object, Ref state);

/// The storage that PyTorch's persistent id names. Throws orrery::Error.
Object storage_of(Ref persistent_id, const FindStorage& find_storage);

}  // namespace orrery::engine::pickle
