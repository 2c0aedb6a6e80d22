// Which Orrery, and which LibTorch, this is.
#pragma once

#include <orrery/export.h>

#include <string>

namespace orrery {

ORRERY_API std::string version();        ///< of Orrery: "0.2.0"
ORRERY_API std::string torch_version();  ///< of the LibTorch it was built with: "1.13.0"

}  // namespace orrery
