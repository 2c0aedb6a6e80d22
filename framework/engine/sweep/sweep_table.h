// A sweep as a tidy table: one row a run, with its keys, its state, its class and its readings.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/sweep/swept_state.h"

namespace orrery::engine {

struct ReadingValue {
  std::optional<double> value;
  std::optional<int64_t> censored_at;  ///< the event had not come by this step
  std::string why;                     ///< if there is neither: "no such metric", "NaN at step 300"
  /// It is of the test set, and the run has none: then there is nothing to read.
  bool no_test_set = false;
};

struct SweepRow {
  const SweptRun* run = nullptr;
  SweptStatus status;
  std::vector<ReadingValue> readings;  ///< in the order of the file; none unless the run is done
  std::string name_of_class;           ///< "" if it is of none; if it diverged, that of all others
  /// By step, of the metrics whose curves claims compare.
  std::map<std::string, std::map<int64_t, double>> curves = {};
};

/// Reads the curves of every run that is done. The rows point into `plan`.
std::vector<SweepRow> read_rows(const SweepPlan& plan);

/// A header, then a line a run. Columns: index, run, the keys, seed, status, class, then for each reading its
/// value and, if it is a first step, NAME_censored_at. An empty cell: no value, or no such reading.
std::string table_csv(const SweepPlan& plan, const std::vector<SweepRow>& rows);
/// A line of JSON a run: {"index": 0, "run": ID, "folder": .., "stage": null, "keys": {..}, "seed": 3,
/// "status": "done", "error": null, "class": "groks", "readings": {"grok_step": {"value": 700.0,
/// "censored_at": null, "why": null}}}.
std::string table_json(const SweepPlan& plan, const std::vector<SweepRow>& rows);
enum class Digits { all, few };
/// The cells of table_csv, header first, without quotes; readings with all their digits, or for people: with
/// six, and "-" where a run has no test set.
std::vector<std::vector<std::string>> table_cells(const SweepPlan& plan, const std::vector<SweepRow>& rows,
                                                  Digits digits);

}  // namespace orrery::engine
