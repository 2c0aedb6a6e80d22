// What a run must show to reproduce the literature: the [[expect]] entries of a config.
//
//   [[expect]]
//   metric = "test/accuracy"              # which number
//   when = "step < 20000"                 # in which rows
//   of = "any"                            # which of them, or which statistic
//   bound = "> 0.99"                      # the bound it must meet
//   claim = "it groks by step 20,000"     # what the text says; may be left out
//   source = "Nanda et al. 2023, fig. 2"  # the publication, and the place in it
//
// metric   a column of metrics.jsonl, or "probe/LABEL/SCALAR", a scalar of a probe's results
//          "probe/LABEL/null/SCALAR"        of its results for random weights
//          "probe/LABEL/conclusion/SCALAR"  of what it concludes from the whole run
//          "test/loss/digit_*"              `*` matches any characters; every metric it matches must hold
// minus    another metric, which is subtracted in each row; a null or a conclusion from all of them
// when     "end"                            the last row; the default if `of` is absent or "every"
//          "always"                         all rows; the default for any other `of`
//          "step 1000"                      the row of that step
//          "step <= 20000", "step > 500", "500 <= step < 2000"
// of       "every"                          each of the rows; the default
//          "any"                            at least one of them
//          "first", "last", "max", "min", "mean"
//          "fall", "rise"                   the largest, from a row to any later one
//          "first step >= 0.99"             the first step at which the comparison holds
//          "step of max", "step of min"     the first step with that value
//          "step of steepest fall"          the row before which it falls most per step
//          "step of steepest rise"
// bound    ">= X", "<= X", "> X", "< X", or several joined by `and`; a bound on the step if `of` gives a step
// claim    what the text says, in one sentence
// source   the place in the literature
//
// Examples:
//   test accuracy above 0.99 before step 20,000
//     metric = "test/accuracy", when = "step < 20000", of = "any", bound = "> 0.99"
//   never above 0.5
//     metric = "test/accuracy", when = "always", bound = "<= 0.5"
//   below 1e-4 at the end
//     metric = "test/loss", bound = "< 1e-4"
//   the loss of each digit below 0.5 at step 3,000
//     metric = "test/loss/digit_*", when = "step 3000", bound = "< 0.5"
//   3 to 8 key frequencies at the end
//     metric = "probe/LABEL/n_key_frequencies", bound = ">= 3 and <= 8"
//   99 % is first reached in steps 5,000 to 15,000
//     metric = "test/accuracy", of = "first step >= 0.99", bound = ">= 5000 and <= 15000"
//   the fastest fall lies between steps 500 and 1,500
//     metric = "train/loss", of = "step of steepest fall", bound = ">= 500 and <= 1500"
//   the training loss below the test loss in every row
//     metric = "train/loss", minus = "test/loss", when = "always", bound = "< 0"
//   a scalar of a probe is 0.5 above the same for random weights
//     metric = "probe/LABEL/r2", minus = "probe/LABEL/null/r2", bound = "> 0.5"
//   a fall by more than 2 between steps 500 and 1,500
//     metric = "train/loss", when = "500 <= step <= 1500", of = "fall", bound = "> 2"
#pragma once

#include <orrery/fields.h>

#include <limits>
#include <string>
#include <vector>

#include "engine/config/document.h"

namespace orrery::engine {

/// An interval. Either bound may be infinite, and either may be open.
struct Interval {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;

  /// False for NaN.
  bool contains(double value) const;
  /// The distance from `value` to the nearer bound; negative outside, infinite without bounds.
  double margin(double value) const;
  bool operator==(const Interval&) const = default;
};

/// A `when`: the last row, or the rows whose step is in `steps`.
struct RowRange {
  bool end = false;
  Interval steps;
  /// Whether it names a single row.
  bool single() const { return end || steps.low == steps.high; }
  bool operator==(const RowRange&) const = default;
};

/// An `of`: a statistic of the rows. The kinds from first_step on give a step, the others a value of the
/// metric.
struct Reading {
  // clang-format off
  enum class Kind {
    every, any, first, last, max, min, mean, fall, rise,
    first_step, step_of_max, step_of_min, step_of_fall, step_of_rise
  };
  // clang-format on
  Kind kind = Kind::every;
  Interval threshold;  ///< for first_step: what the metric must reach
  bool operator==(const Reading&) const = default;
};

/// Where a text was written, "configs/x.toml:9:1"; "" if nowhere. It is no part of what is expected.
struct WrittenAt {
  std::string place = {};
  bool operator==(const WrittenAt&) const { return true; }
};

/// One [[expect]] entry.
struct Expectation {
  std::string metric, when, of = "every", bound,
                            source;  ///< as written, with the default of `when` filled in
  RowRange rows;                     ///< what `when` means
  Reading reading;                   ///< what `of` means
  Interval wanted;                   ///< what `bound` means
  std::string minus = {};            ///< another metric, subtracted; "": none
  std::string claim = {};            ///< what the text says; "": not told
  WrittenAt metric_at = {}, minus_at = {}, when_at = {};

  static void fields(Fields<Expectation>& f);
  bool operator==(const Expectation&) const = default;
};

/// The [verify] table: the tier of configs that a config is verified with, by the time they take.
struct VerifySettings {
  std::string tier = "full";
  static void fields(Fields<VerifySettings>& f);
};

/// Reads `entries`. Throws UsageError, with the place, for the first error. A metric of a probe must name one
/// of the labels in `probes`.
std::vector<Expectation> read_expectations(const std::vector<Table>& entries,
                                           const std::vector<std::string>& probes);

/// Where it comes from and, if that is told, what is said there: "Nanda et al. 2023, fig. 2: it groks".
std::string cited(const std::string& source, const std::string& claim);

/// On one line: "test/accuracy > 0.99 once, step < 20000".
std::string sentence(const Expectation& expectation);

}  // namespace orrery::engine
