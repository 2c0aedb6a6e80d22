#pragma once

#include <string>
#include <vector>

#include "cli/text/table.h"
#include "engine/verify/verdict.h"

namespace orrery::cli {

using namespace engine;

/// A line of titles, then one line per verdict: what was expected, what was got, the source, ok or FAILED.
std::string verdict_table(const std::vector<Verdict>& verdicts, size_t width = no_limit);

/// A line of JSON per verdict, for the config and the run that it is about.
std::string verdict_json(const std::string& config, const std::string& run,
                         const std::vector<Verdict>& verdicts);

}  // namespace orrery::cli
