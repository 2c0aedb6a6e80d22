// A pipeline: which probes, over which checkpoints of which runs. `orrery probe --pipeline FILE` reads it.
//
//   runs = ["runs/quickstart-*", "runs/mainline"]   # folders; * and ? as in a shell
//   steps = "every 500"                             # "all", "last", "every N" or a list, [0, 500, 1000]
//
//   [[probe]]                                       # as in a training config
//   name = "fourier_basis"
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/config/settings.h"

namespace orrery::engine {

/// Which checkpoints of a run.
class StepChoice {
 public:
  /// "all", "last", "every 500" (multiples of 500) or "0,500,1000". Throws UsageError, opening with `place`.
  static StepChoice parse(const std::string& text, const std::string& place);

  /// Those of `there` (ascending) that are chosen, ascending. Throws UsageError where one that is listed is
  /// not there, or none is chosen; `run` names what has them.
  std::vector<int64_t> choose(const std::vector<int64_t>& there, const std::string& run) const;

 private:
  enum class Kind { all, last, every, list };
  Kind kind_ = Kind::all;
  std::vector<int64_t> steps_;  // of a list, ascending; of `every`, the number
};

struct Pipeline {
  std::vector<std::string> runs;  ///< folders or globs of them; empty: to be said on the command line
  StepChoice steps;
  std::vector<ProbeChoice> probes;
};

/// Throws UsageError, with the place, for the first thing that is wrong, also where there is no probe.
Pipeline resolve_pipeline(const Document& document, const ParametersOf& parameters_of);

}  // namespace orrery::engine
