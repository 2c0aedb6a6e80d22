// What a run has to show to reproduce the literature: the [[expect]] entries of a config.
//
//   [[expect]]
//   metric = "test/accuracy"              # which number
//   when = "step < 20000"                 # in which rows
//   of = "any"                            # what is asked of them
//   bound = "> 0.99"                      # what it has to be
//   source = "Nanda et al. 2023, fig. 2"  # who says so
//
// metric   a column of metrics.jsonl, or "probe/LABEL/SCALAR", a scalar of a probe's results
//          "test/loss/digit_*"              `*` is any run of characters; all that match have to hold
// when     "end"                            the last row; meant where neither `when` nor `of` is given
//          "always"                         all rows; meant where `of` is given, other than "every"
//          "step 1000"                      the row of that step
//          "step <= 20000", "step > 500", "500 <= step < 2000"
// of       "every"                          each of the rows; meant where `of` is left out
//          "any"                            at least one of them
//          "first", "last", "max", "min", "mean"
//          "fall", "rise"                   the largest, from a row to any later one
//          "first step >= 0.99"             the first step at which the metric is that
//          "step of max", "step of min"     the first step with that value
//          "step of steepest fall"          the row before which it falls most per step
//          "step of steepest rise"
// bound    ">= X", "<= X", "> X", "< X", several of them joined by `and`; where `of` gives a step, a
//          bound on that step
// source   where in the literature the bound comes from
//
// Examples:
//   test accuracy above 0.99 before step 20,000
//     metric = "test/accuracy", when = "step < 20000", of = "any", bound = "> 0.99"
//   never above 0.5
//     metric = "test/accuracy", when = "always", bound = "<= 0.5"
//   below 1e-4 in the end
//     metric = "test/loss", bound = "< 1e-4"
//   the loss of each digit below 0.5 at step 3,000
//     metric = "test/loss/digit_*", when = "step 3000", bound = "< 0.5"
//   3 to 8 key frequencies in the end
//     metric = "probe/LABEL/n_key_frequencies", bound = ">= 3 and <= 8"
//   99 % is first reached in steps 5,000 to 15,000
//     metric = "test/accuracy", of = "first step >= 0.99", bound = ">= 5000 and <= 15000"
//   the fastest fall lies between steps 500 and 1,500
//     metric = "train/loss", of = "step of steepest fall", bound = ">= 500 and <= 1500"
//   a fall by more than 2 between steps 500 and 1,500
//     metric = "train/loss", when = "500 <= step <= 1500", of = "fall", bound = "> 2"
#pragma once

#include <orrery/fields.h>

#include <limits>
#include <string>
#include <vector>

#include "engine/config/document.h"

namespace orrery::engine {

/// The numbers between two bounds, each of which may be missing (infinite) and may itself be left out (open).
struct Interval {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;

  /// False for NaN.
  bool contains(double value) const;
  /// How far `value` is from the nearer bound; negative outside, infinite where there is no bound.
  double margin(double value) const;
  bool operator==(const Interval&) const = default;
};

/// A `when`: the last row, or those whose step is in `steps`.
struct RowRange {
  bool end = false;
  Interval steps;
  /// Whether it names one row.
  bool single() const { return end || steps.low == steps.high; }
  bool operator==(const RowRange&) const = default;
};

/// An `of`. From first_step on it gives a step, before that a value of the metric.
struct Reading {
  // clang-format off
  enum class Kind {
    every, any, first, last, max, min, mean, fall, rise,
    first_step, step_of_max, step_of_min, step_of_fall, step_of_rise
  };
  // clang-format on
  Kind kind = Kind::every;
  Interval threshold;  ///< first_step: what the metric has to be
  bool operator==(const Reading&) const = default;
};

/// One [[expect]] entry.
struct Expectation {
  std::string metric, when, of = "every", bound, source;  ///< as written, `when` filled in
  RowRange rows;                                          ///< what `when` means
  Reading reading;                                        ///< what `of` means
  Interval wanted;                                        ///< what `bound` means

  static void fields(Fields<Expectation>& f);
  bool operator==(const Expectation&) const = default;
};

/// The [verify] table: with which others a config is verified, by the time they take.
struct VerifySettings {
  std::string tier = "full";
  static void fields(Fields<VerifySettings>& f);
};

/// All `entries`. Throws UsageError, with the place, for the first thing that is wrong; a metric of a probe
/// has to name one of the labels in `probes`.
std::vector<Expectation> read_expectations(const std::vector<Table>& entries,
                                           const std::vector<std::string>& probes);

/// On one line: "test/accuracy > 0.99 once, step < 20000".
std::string sentence(const Expectation& expectation);

}  // namespace orrery::engine
