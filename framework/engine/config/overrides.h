// A config with some keys set from elsewhere than the command line: each value keeps the place where it was
// written.
#pragma once

#include <string>
#include <vector>

#include "engine/config/settings.h"

namespace orrery::engine {

/// What opens the place of a key that a network's file tells: "from the file published.pth".
inline constexpr const char* from_the_file = "from the file ";

/// A key, as for `--set`, the value it is to have, and where the two were written.
struct Override {
  std::string key;
  Value value;
  std::string place;             ///< of the key
  std::string value_place = {};  ///< "": that of the key
};

/// resolve() of `document` with these keys set; of two that set the same key, the later one counts.
Settings resolve_with(const Document& document, const std::vector<Override>& overrides,
                      const ParametersOf& parameters_of);

}  // namespace orrery::engine
