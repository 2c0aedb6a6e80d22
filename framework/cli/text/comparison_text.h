// What `orrery compare` prints.
#pragma once

#include <string>

#include "engine/compare/comparison.h"

namespace orrery::cli {

using namespace engine;

/// For a terminal.
std::string comparison_text(const Comparison& comparison);
/// One JSON object, {"runs": [..], "config": [..], "features": [..], "pairs": [..], "tree": [..], "order":
/// [..], "missing": [..]}; `with_curves`: also each run's losses and accuracies. What there is not is null.
std::string comparison_json(const Comparison& comparison, bool with_curves);

}  // namespace orrery::cli
