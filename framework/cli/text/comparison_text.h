// What `orrery compare` prints.
#pragma once

#include <string>

#include "engine/compare/comparison.h"

namespace orrery::cli {

using namespace engine;

/// For a terminal.
std::string comparison_text(const Comparison& comparison);
/// One JSON object, {"runs": [..], "config": [..], "features": [..], "pairs": [..], "tree": [..], "order":
/// [..], "missing": [..]}; `with_curves`: also each run's losses and accuracies. NaN and infinities are null.
std::string comparison_json(const Comparison& comparison, bool with_curves);

}  // namespace orrery::cli
