// The curves of all runs of a sweep, metric by metric, thinned so that a page can draw them together.
#pragma once

#include <orrery/probe.h>

#include <string>
#include <vector>

#include "engine/sweep/sweep_table.h"

namespace orrery::engine {

/// One metric of all runs that have it.
struct SweptMetric {
  std::string name;
  std::vector<size_t> runs;   ///< indices into the plan, ascending
  std::vector<Curve> curves;  ///< one for each of `runs`
};

struct SweptCurves {
  std::vector<SweptMetric> metrics;  ///< by name
  size_t most_points = 0;            ///< of a curve
  bool thinned = false;              ///< whether one had more
  std::vector<std::string> damaged;  ///< what could not be read: file and reason
};

/// How many points a curve may keep if that many are drawn: all together about 400,000, each 40 to 400.
size_t points_per_curve(size_t curves);

/// Reads the columns of metrics.jsonl, and the scalars of probes that a reading asks for, of every run that
/// has begun, done or not.
SweptCurves read_swept_curves(const SweepPlan& plan, const std::vector<SweepRow>& rows);

}  // namespace orrery::engine
