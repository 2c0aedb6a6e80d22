// Where the built-in plugins lie.
#pragma once

#include <filesystem>

namespace orrery::engine {

/// The folder of the built-in plugins: plugins/ beside the folder of the program, as in a build tree and in
/// lib/orrery, or the one that was set. Empty if there is none.
std::filesystem::path builtin_plugins();
/// For a host whose program lies elsewhere, such as a Python interpreter. Call it before load_plugins(), from
/// one thread.
void set_builtin_plugins(std::filesystem::path folder);

}  // namespace orrery::engine
