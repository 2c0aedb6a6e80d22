#include "sdk/files/temporary_folder.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>

namespace orrery {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "orrery-XXXXXX").string();
  if (!mkdtemp(name.data()))
    throw Error(fmt::format("no temporary folder could be made: {}", std::strerror(errno)));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace orrery
