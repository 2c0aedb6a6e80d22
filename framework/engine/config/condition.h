// Conditions on metrics, such as the one that ends a training early: "test/accuracy >= 0.999".
#pragma once

#include <map>
#include <string>
#include <vector>

namespace orrery::engine {

/// One or more comparisons METRIC OP NUMBER, joined by `and`; OP is one of >= <= > <.
class Condition {
 public:
  /// A condition that never holds.
  Condition() = default;
  /// Empty text gives the condition that never holds. Throws UsageError that shows where `text` goes wrong.
  static Condition parse(const std::string& text);

  /// Whether every comparison is true of `metrics`. One on a metric that is not there, or is not a number, is
  /// not true.
  bool holds(const std::map<std::string, double>& metrics) const;

  /// The metrics it depends on, each once, in the order written.
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
