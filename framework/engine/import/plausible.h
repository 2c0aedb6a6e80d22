// Private to the import room: whether an imported network does what it is said to do.
#pragma once

#include <string>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/reporter/reporter.h"
#include "engine/train/loss.h"

namespace orrery::engine {

/// The metrics that an import must reproduce.
class Expectations {
 public:
  /// Of "test/loss=0.0072". Throws orrery::UsageError for what is not a metric and a number.
  explicit Expectations(const std::vector<std::string>& texts);
  /// Throws orrery::UsageError, opening with `where`, if one of them is not met: the number is not that of
  /// the metric to half a unit of its last digit or to 1e-5 of it.
  void check(const Metrics& metrics, const std::string& where) const;

 private:
  struct One {
    std::string metric, text;
    double value, tolerance;
  };
  std::vector<One> all_;
};

/// Warns where a network of classes is no better on a set than always giving that set's most frequent label.
void warn_of_chance(const Experiment& experiment, const Metrics& metrics, Reporter& reporter);

}  // namespace orrery::engine
