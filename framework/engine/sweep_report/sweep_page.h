// A sweep as one HTML page: its state, its claims, its runs' readings and curves.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/report/page.h"
#include "engine/reporter/reporter.h"
#include "engine/sweep/sweep_table.h"

namespace orrery::engine {

struct SweepPage {
  std::string json;  ///< what the scripts of the view "sweep" draw
  Numbers numbers;
  std::vector<std::string> notes;  ///< what was thinned or left out; for the user, also on the page
};

/// All numbers that are estimated, with their intervals, are computed here; the page only draws them. `file`:
/// where the page will be, because it links to the reports of runs that have one.
SweepPage make_sweep_page(const SweepPlan& plan, const std::vector<SweepRow>& rows,
                          const std::filesystem::path& file);

/// Reads the runs, whatever their states, and replaces `file` atomically. Throws orrery::Error if this build
/// has no plotly.js, or if the file cannot be written.
void write_sweep_page(const SweepPlan& plan, const std::filesystem::path& file, Reporter& reporter);

}  // namespace orrery::engine
