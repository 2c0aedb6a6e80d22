// Text that every reader of a run can take in.
#pragma once

#include <string_view>

namespace orrery {

/// Whether `text` is well-formed UTF-8 (Unicode 15, table 3-7).
bool is_utf8(std::string_view text);

}  // namespace orrery
