// Text that every reader of a run can take in.
#pragma once

#include <orrery/export.h>

#include <string_view>

namespace orrery {

/// Whether `text` is well-formed UTF-8 (Unicode 15, table 3-7).
ORRERY_API bool is_utf8(std::string_view text);

}  // namespace orrery
