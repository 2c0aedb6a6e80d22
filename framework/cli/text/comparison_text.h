// The output of `orrery compare`.
#pragma once

#include <string>

#include "engine/compare/comparison.h"

namespace orrery::cli {

using namespace engine;

/// Tables for a terminal.
std::string comparison_text(const Comparison& comparison);
/// One JSON object, {"runs": [..], "config": [..], "features": [..], "pairs": [..], "tree": [..], "order":
/// [..], "missing": [..]}; with `with_curves` also each run's losses and accuracies. Missing values are null.
std::string comparison_json(const Comparison& comparison, bool with_curves);

}  // namespace orrery::cli
