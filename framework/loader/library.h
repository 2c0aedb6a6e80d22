// Opens a shared library whose stamp has been checked. Hides Boost.DLL from the rest of the program.
#pragma once

#include <orrery/abi/abi.h>

#include <filesystem>

namespace orrery {

/// Loads the library for the rest of the program's life and returns its entry point. Throws orrery::Error,
/// without naming the file, if it cannot be loaded or has no entry point.
const orrery_plugin_info* (*open_library(const std::filesystem::path& file))();

}  // namespace orrery
