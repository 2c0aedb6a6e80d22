// One run as a page: its curves, what its probes recorded at every checkpoint, their nulls and conclusions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/report/page.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// What a report is made with that does not lie in the run itself.
struct ReportChoices {
  /// Of the numbers of all figures. Where they are more, heatmaps are first stored in fewer bits, then
  /// figures are shown at fewer checkpoints, evenly spread, the largest figures first.
  size_t byte_budget = 8 << 20;
  /// Figures at these steps only; empty: at every one recorded.
  std::vector<int64_t> steps = {};
  std::map<std::string, std::string> summaries = {};  ///< of a probe's plugin, by name
  std::vector<std::string> differences = {};          ///< settings unlike their defaults: "train.lr 0.01"
};

struct Report {
  std::string title;
  std::string json;
  Numbers numbers;
  std::vector<std::string> notes;  ///< how it was made smaller than the run; for the user, also on the page
  size_t n_figures = 0;
};

/// Reads the run, which may still be trained: whole lines count. Throws orrery::Error, with file and line,
/// where its files are damaged.
Report make_report(const RunDirectory& run, const ReportChoices& choices = {});

/// The steps at which the run's probes recorded something, ascending.
std::vector<int64_t> recorded_steps(const RunDirectory& run);

}  // namespace orrery::engine
