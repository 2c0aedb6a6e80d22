// Judges whether a run meets the expectations of its config.
#pragma once

#include <string>
#include <vector>

#include "engine/config/expect.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

struct Verdict {
  const Expectation* expectation = nullptr;
  bool passed = false;
  std::string got;  ///< "0.9987 at step 20000", "no such metric", "NaN at step 300"
};

/// One verdict per expectation, in their order; they point into `expectations`.
///
/// An expectation that cannot be judged fails and says why: a missing metric, a range without rows, a NaN in
/// the selected rows. `every` also fails if one of the rows lacks the metric. If a glob matches several
/// metrics, reports the worst. Of a run that diverged nothing holds, as it has no end. Throws orrery::Error,
/// with file and line, if the run's files are damaged.
std::vector<Verdict> judge(const std::vector<Expectation>& expectations, const RunDirectory& run);
std::vector<Verdict> judge(std::vector<Expectation>&&, const RunDirectory&) = delete;

/// Whether there are verdicts and all of them pass.
bool all_passed(const std::vector<Verdict>& verdicts);

}  // namespace orrery::engine
