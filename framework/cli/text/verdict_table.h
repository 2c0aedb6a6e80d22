#pragma once

#include <string>
#include <vector>

#include "engine/verify/verdict.h"

namespace orrery::cli {

using namespace engine;

/// A line of titles, then one line per verdict: what was expected, what was got, the source, ok or FAILED.
std::string verdict_table(const std::vector<Verdict>& verdicts);

}  // namespace orrery::cli
