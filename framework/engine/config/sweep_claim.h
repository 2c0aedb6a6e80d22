// What a sweep asks of its runs, and claims about the set of them.
//
//   [[reading]]                        # a number of each run; metric, when and of as in the [[expect]] of a
//   config name = "grok_step" metric = "test/accuracy" of = "first step >= 0.99"          # one that never
//   comes is censored at the last step looked at
//
//   [[class]]                          # a run is of the first class whose condition on readings holds
//   name = "groks"
//   if = "test_accuracy >= 0.99"       # without `if`: every other run
//
//   [[expect]]                         # one of these four
//   share = "groks"                    # the share of runs of a class
//   median = "grok_step"               # the median of a reading
//   quantile = "grok_step"             # with q = 0.9
//   order = "grok_step"                # Spearman's rank correlation, with along = "train.weight_decay"
//   bound = ">= 0.75"
//   source = "the publication"
//   where.train.weight_decay = [1, 2]  # only runs with (one of) these values of swept keys, or of `seed`
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
  Expectation question;  ///< without a bound
};

struct SweepClass {
  std::string name, text;
  Condition condition;     ///< on readings, by name
  bool otherwise = false;  ///< no condition: every run
};

/// Part of a sweep: the runs that have one of these values for each of these keys.
struct SweepPart {
  std::string place;
  std::vector<std::pair<std::string, std::vector<Value>>> wanted;

  /// Whether `keys` has all of them.
  bool holds(const std::vector<Override>& keys) const;
};

struct SweepClaim {
  enum class Kind { share, quantile, order };
  Kind kind = Kind::share;
  std::string subject;  ///< a class, or a reading
  double q = 0.5;       ///< of a quantile
  std::string along;    ///< the key of an order
  SweepPart where;
  std::string bound, source;
  Interval wanted;
};

/// Whether these are the same number, or equal otherwise.
bool same_value(const Value& a, const Value& b);

/// "share of groks >= 0.75, train.weight_decay = 1".
std::string sentence(const SweepClaim& claim);

}  // namespace orrery::engine
