// Inside the run room only: what the metrics of a run say to one expectation.
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
  std::vector<int64_t> steps;  ///< of all rows of the file it is from, whether they have the metric or not
};

/// What a series says: whether the bound is met, and by how much.
struct Answer {
  bool passed = false;
  double margin;  ///< as Interval::margin; -infinity where there is no number
  std::string got;
};

/// `series` has at least one point.
Answer answer(const Expectation& expectation, const Series& series);

}  // namespace orrery::engine
