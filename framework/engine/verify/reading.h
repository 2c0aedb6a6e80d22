// Private to the verify room: evaluates one expectation on the metrics of a run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/config/expect.h"

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
};

/// Whether a series meets the bound, and by what margin.
struct Evaluated {
  bool passed = false;
  double margin;  ///< as Interval::margin; -infinity if there is no number
  std::string got;
};

/// `series` must have at least one point.
Evaluated answer(const Expectation& expectation, const Series& series);

}  // namespace orrery::engine
