#include <orrery/version.h>
#include <torch/version.h>

namespace orrery {

std::string version() { return ORRERY_VERSION; }
std::string torch_version() { return TORCH_VERSION; }

}  // namespace orrery
