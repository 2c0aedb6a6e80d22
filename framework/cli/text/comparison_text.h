// The output of `orrery compare`.
#pragma once

#include <cstddef>
#include <string>

#include "engine/compare/comparison.h"

namespace orrery::cli {

using namespace engine;

/// Tables for a terminal, in lines of at most `width` characters.
std::string comparison_text(const Comparison& comparison, size_t width);
/// One JSON object, {"runs": [..], "config": [..], "features": [..], "pairs": [..], "tree": [..], "order":
/// [..], "missing": [..]}; with `with_curves` also each run's losses and accuracies. Missing values are null.
std::string comparison_json(const Comparison& comparison, bool with_curves);

}  // namespace orrery::cli
