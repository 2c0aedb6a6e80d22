// The results of probes over checkpoints of one run: taken from the disk where they are there, computed by
// worker processes where not, in the end stored and shown.
#pragma once

#include <functional>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/probing/plan.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

struct ProbingOptions {
  bool store = true;  ///< else the run stays as it is, and nothing in it is used
  Reuse reuse = Reuse::stored;
  int processes = 1;
};

/// Who is shown results: scalars, headlines and findings of the probes that did not fail.
struct Audience {
  /// Per checkpoint, in ascending order.
  std::function<void(const CheckpointFile& checkpoint, const std::vector<Outcome>& outcomes)> row;
  std::function<void(Aside aside, const std::vector<Outcome>& outcomes)> aside;
};

enum class Probed { well, with_failures, interrupted };

/// Probes that need it are also measured on random weights, and asked for their conclusion. Failures are
/// reported on stderr, progress too. Throws as plan_rows does, before anything is computed.
Probed probe_run(Experiment& experiment, RunDirectory& run, const std::vector<CheckpointFile>& checkpoints,
                 const ProbingOptions& options, const Audience& audience);

}  // namespace orrery::engine
