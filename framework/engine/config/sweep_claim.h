// What a sweep asks of its runs, and claims about the set of them.
//
// A reading is a number of each run; metric, when and of as in the [[expect]] of a config. One that never
// comes is censored at the last step looked at.
//
//   [[reading]]
//   name = "grok_step"
//   metric = "test/accuracy"
//   of = "first step >= 0.99"
//
// A run is of the first class whose condition on readings holds; without `if`, every other run is.
//
//   [[class]]
//   name = "groks"
//   if = "test_accuracy >= 0.99"
//
// A claim asks for one of these:
//
//   [[expect]]
//   share = "groks"            the share of runs of a class
//   median = "grok_step"       the median of a reading
//   quantile = "grok_step"     with q = 0.9
//   spread = "grok_step"       the width of the middle half of the runs; with middle = 0.8, of 80 %
//   order = "grok_step"        Spearman's rank correlation, with along = "train.weight_decay"; with given =
//                              "memorised", another reading, the partial one
//   rising = "grok_step"       with along: the least rise of the median from one value of the key to the next
//   falling = "grok_step"      the least fall
//   equal = "final"            with across = "train.weight_decay": the largest difference between the means
//                              of the groups; with along = "task.p", at equal values of that
//   equal = "test/accuracy"    with along = "step", of a metric's curves
//   below = "memorised"        the share of runs in which it is below the reading than = "grok_step"
//   difference = "grok_step"   its median less that of the reading minus = "memorised"
//
//   bound = ">= 0.75"
//   claim = "what the text says"         may be left out
//   source = "the publication, and the place in it"
//   where.train.weight_decay = [1, 2]    only runs with (one of) these values of swept keys, or of `seed`
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/config/condition.h"
#include "engine/config/expect.h"
#include "engine/config/overrides.h"

namespace orrery::engine {

struct SweepReading {
  std::string name;
  Expectation question;                               ///< without a bound
  std::string metric_place, minus_place, when_place;  ///< of those values of it
};

struct SweepClass {
  std::string name, text;
  Condition condition;     ///< on readings, by name
  bool otherwise = false;  ///< no condition: every run
};

/// Part of a sweep: the runs whose config has one of these values for each of these keys.
struct SweepPart {
  struct Wanted {
    std::string key;
    std::vector<Value> values;
    std::string place, value_place;
  };
  std::string place;
  std::vector<Wanted> wanted;

  /// Whether `keys` has all of them.
  bool holds(const std::vector<Override>& keys) const;
};

struct SweepClaim {
  enum class Kind { share, quantile, spread, order, rising, falling, equal, below, difference };
  Kind kind = Kind::share;
  std::string subject;        ///< a class, or a reading; of equal curves, a metric
  std::string subject_place;  ///< where it is written
  double q = 0.5;             ///< of a quantile; of a spread, the share of runs in the middle
  std::string along;          ///< the key of an order; of `equal` also "step", or ""
  std::string across;         ///< the key of the groups of `equal`
  std::string other;  ///< the reading that it is compared with; of an order, the one held fixed, or ""
  SweepPart where;
  std::string bound, source;
  std::string claim = {};  ///< what the text says; "": not told
  Interval wanted;
  /// A key that `along` or `across` names, the path of that key of the entry, and the place of its value.
  struct Swept {
    std::string key, path, place;
  };
  std::vector<Swept> swept = {};

  /// Whether it is about the curves of the metric `subject`, not about a reading.
  bool of_curves() const { return kind == Kind::equal && along == "step"; }
};

/// Whether these are the same number, or equal otherwise.
bool same_value(const Value& a, const Value& b);

/// "share of groks >= 0.75, train.weight_decay = 1".
std::string sentence(const SweepClaim& claim);

}  // namespace orrery::engine
