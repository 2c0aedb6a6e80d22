// One run as a page: its curves, its probes' results at every checkpoint, their nulls and conclusions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/report/page.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// The inputs of a report besides the run itself.
struct ReportChoices {
  /// Upper bound in bytes for all figure data. Above it, heatmaps are first stored in fewer bits, then
  /// figures are shown at fewer checkpoints, evenly spread, the largest figures first.
  size_t byte_budget = 8 << 20;
  /// Show figures only at these steps; empty: at every recorded one.
  std::vector<int64_t> steps = {};
  std::map<std::string, std::string> summaries = {};  ///< of the probes, by the plugin's name
  std::vector<std::string> differences = {};  ///< settings that differ from their defaults: "train.lr 0.01"
};

struct Report {
  std::string title;
  std::string json;
  Numbers numbers;
  std::vector<std::string> notes;  ///< what was left out; for the user, also on the page
  size_t n_figures = 0;
};

/// Reads the run, which may be in training: an incomplete last line is ignored. Throws orrery::Error, with
/// file and line, if its files are damaged.
Report make_report(const RunDirectory& run, const ReportChoices& choices = {});

/// The steps at which the run's probes recorded results, ascending.
std::vector<int64_t> recorded_steps(const RunDirectory& run);

}  // namespace orrery::engine
