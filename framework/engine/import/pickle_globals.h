// Private to the import room: the constructors that a pickle may name, and what they make.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "engine/import/pickle.h"

namespace orrery::engine::pickle {

/// Whether a pickle may name `name`, "module.name": everything but what only a program that is to run needs.
bool harmless_global(const std::string& name);

/// What calling `global` with `arguments` makes; nothing is called. Bytes that it needs are kept in
/// `buffers`. Throws orrery::Error, saying what was expected, if `global` is known and they do not fit, or if
/// it is not callable.
Object construct(const std::string& global, const std::vector<Ref>& arguments,
                 std::deque<std::string>& buffers);

/// Sets the state of an object, as pickles do after constructing it. Drops state that has no meaning here,
/// such as the _metadata of a state dict.
void build(Object& object, Ref state);

/// The storage, or the class of a module, that PyTorch's persistent id names. Throws orrery::Error.
Object storage_of(Ref persistent_id, const FindStorage& find_storage);

}  // namespace orrery::engine::pickle
