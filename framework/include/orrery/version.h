// The versions of Orrery and LibTorch.
#pragma once

#include <orrery/export.h>

#include <string>

namespace orrery {

ORRERY_API std::string version();        ///< of Orrery, "0.2.0"
ORRERY_API std::string torch_version();  ///< of the LibTorch that Orrery was built with, "1.13.0"

}  // namespace orrery
