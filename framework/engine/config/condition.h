// Conditions on metrics, such as the one that ends training early: "test/accuracy >= 0.999".
#pragma once

#include <map>
#include <string>
#include <vector>

namespace orrery::engine {

/// One or more comparisons METRIC OP NUMBER, joined by `and`; OP is one of >= <= > <.
class Condition {
 public:
  /// Never holds.
  Condition() = default;
  /// Empty text gives a condition that never holds. Throws UsageError that shows where `text` is malformed.
  static Condition parse(const std::string& text);

  /// Whether every comparison is true of `metrics`. A comparison on a missing or NaN metric is false.
  bool holds(const std::map<std::string, double>& metrics) const;

  /// The metrics it depends on, each once, in the order in which they are written.
  std::vector<std::string> metrics() const;

  bool empty() const { return comparisons_.empty(); }

 private:
  struct Comparison {
    std::string metric;
    std::string op;
    double bound;
  };
  std::vector<Comparison> comparisons_;
};

}  // namespace orrery::engine
