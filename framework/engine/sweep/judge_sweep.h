// Judges the claims of a sweep about the set of its runs.
#pragma once

#include <string>
#include <vector>

#include "engine/sweep/sweep_table.h"

namespace orrery::engine {

struct SweepVerdict {
  const SweepClaim* claim = nullptr;
  bool passed = false;
  std::string got;       ///< "0.875 (7 of 8)", "median 1,200", "rho -0.8", or why it cannot be judged
  std::string interval;  ///< 95 %: Wilson's for a share, else bootstrap; "" if there is none
  size_t n = 0;          ///< the runs it is about
};

/// One verdict per claim, in their order; they point into `plan`. The bound is on the estimate; the interval
/// stands beside it. A claim over a run that is not done, or whose reading has neither a value nor is
/// censored (as one of the test set of a run without one), fails and says so, and so does one about which
/// what never came leaves more than one answer. A run that diverged is of the class of all others.
std::vector<SweepVerdict> judge_sweep(const SweepPlan& plan, const std::vector<SweepRow>& rows);

}  // namespace orrery::engine
