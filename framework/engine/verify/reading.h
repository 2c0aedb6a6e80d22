// Evaluates one expectation on the metrics of a run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/expect.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

struct Point {
  int64_t step;
  double value;
};

/// One metric of a run.
struct Series {
  std::string name;
  std::vector<Point> points;   ///< ascending by step
  std::vector<int64_t> steps;  ///< of all rows of its file, with or without the metric
  bool of_run = false;         ///< one number of the whole run, a null or a conclusion, at its last step
};

/// Whether a series meets the bound, and by what margin.
struct Evaluated {
  bool passed = false;
  double margin;  ///< as Interval::margin; -infinity if there is no number
  std::string got;
  std::optional<double> value = {};       ///< the number that the bound is about
  std::optional<int64_t> not_until = {};  ///< for a first step that never came: the last step looked at
};

/// Every column of metrics.jsonl and, if `with_probes`, every scalar of the probes' results, of their nulls
/// ("probe/LABEL/null/SCALAR") and of their conclusions ("probe/LABEL/conclusion/SCALAR"). Throws
/// orrery::Error, with file and line, if the run's files are damaged.
std::vector<Series> all_series(const RunDirectory& run, bool with_probes);

/// Whether `metric`, perhaps a glob, may be a scalar of a probe.
bool may_be_of_probe(const std::string& metric);

/// The series named `metric` in `all`; null if there is none.
const Series* find_series(const std::vector<Series>& all, const std::string& metric);
/// "no such metric (did you mean ...)".
std::string no_such_metric(const std::vector<Series>& all, const std::string& metric);

/// What an expectation asks about, made from `series`: less expectation.minus, if it has one, where both
/// are. Nothing if there is no such metric; `why` says which.
std::optional<Series> asked_series(const Expectation& expectation, const Series& series,
                                   const std::vector<Series>& all, std::string& why);

/// Whether `expectation` may be about a scalar of a probe.
bool may_be_of_probe(const Expectation& expectation);

/// `series` must have at least one point.
Evaluated answer(const Expectation& expectation, const Series& series);

}  // namespace orrery::engine
