// Python with PyTorch, for tests of what it reads and writes.
#pragma once

#include <cstdlib>
#include <string>

namespace orrery {

/// The command; "" if there is none.
inline std::string python_with_torch() {
  for (const char* candidate : {"/usr/bin/python3", "python3"})
    if (std::system((std::string(candidate) + " -c 'import torch' 2>/dev/null").c_str()) == 0)
      return candidate;
  return "";
}

}  // namespace orrery
