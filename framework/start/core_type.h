// Which kernels OpenBLAS should use on this processor.
#pragma once

#include <filesystem>
#include <string>

namespace orrery {

/// The value for OPENBLAS_CORETYPE, or "" to let OpenBLAS choose. It is measured once, by running `core`
/// (orrery-core) with and without it, and kept in $XDG_CACHE_HOME/orrery for this processor, program and
/// BLAS.
std::string core_type(const std::filesystem::path& core);

}  // namespace orrery
