// Sweeps as text: the plan, the state, the table, the verdicts.
#pragma once

#include <string>
#include <vector>

#include "cli/text/table.h"
#include "engine/sweep/judge_sweep.h"
#include "engine/sweep/sweep_estimate.h"

namespace orrery::cli {

using namespace engine;

/// Keys and values, the number of runs, what is done, how long the rest takes, what a run costs on disk.
std::string plan_text(const SweepPlan& plan, const std::vector<SweptStatus>& states,
                      const SweepEstimate& estimate);
/// How many runs are in each state; each failed, damaged and blocked one with its error, and which have lost
/// results. `only_failed`:
/// nothing but the failed ones; `indices`: which runs are in each state, as "3,17,40-42".
std::string status_text(const SweepPlan& plan, const std::vector<SweptStatus>& states, bool only_failed,
                        bool indices);
/// Columns aligned; a reading that never came is "never (> 4000)", one of the test set of a run without one
/// "-".
std::string sweep_table_text(const SweepPlan& plan, const std::vector<SweepRow>& rows);
/// What the cells of the table do not say: damaged runs, readings that could not be read, and runs without a
/// test set; "" if there are none.
std::string table_note(const SweepPlan& plan, const std::vector<SweepRow>& rows);
/// A line of titles, then one line per verdict, or several to keep to `width`.
std::string sweep_verdict_table(const std::vector<SweepVerdict>& verdicts, size_t width = no_limit);
/// A line of JSON per verdict: config, expected, claim, source, got, interval, n, passed.
std::string sweep_verdict_json(const std::string& file, const std::vector<SweepVerdict>& verdicts);

}  // namespace orrery::cli
