// Quantiles of readings of which some are censored: known only to lie beyond a value, such as the step of an
// event that had not come when the run ended.
#pragma once

#include <optional>
#include <vector>

namespace orrery::engine {

struct Observation {
  double value;  ///< if censored: the last value at which it is known not to have come
  bool censored = false;
};

/// A quantile. `beyond`: it lies above `value`, where observation ends.
struct Quantile {
  double value;
  bool beyond = false;
  bool operator==(const Quantile&) const = default;
};

/// The q-quantile of the Kaplan-Meier estimate: the least value by which the share q has come; the middle of
/// it and the next if it is q exactly, so that without censoring q = 0.5 is the usual median. Of equal
/// values, events count before censoring. `all` must not be empty; 0 < q < 1.
Quantile survival_quantile(std::vector<Observation> all, double q);

}  // namespace orrery::engine
