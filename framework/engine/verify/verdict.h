// Whether a run shows what its config expects of it.
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
/// What cannot be judged fails and says why: a metric that the run has not, a range without rows, a NaN among
/// the rows asked about. `every` fails too where one of the rows lacks the metric. Of several metrics matched
/// by a glob the worst is reported. Throws orrery::Error, with file and line, where the run's files are
/// damaged.
std::vector<Verdict> judge(const std::vector<Expectation>& expectations, const RunDirectory& run);
std::vector<Verdict> judge(std::vector<Expectation>&&, const RunDirectory&) = delete;

/// Whether there are verdicts and none of them is a failure.
bool all_passed(const std::vector<Verdict>& verdicts);

}  // namespace orrery::engine
