// A pipeline: which probes, over which checkpoints of which runs. `orrery probe --pipeline FILE` reads it.
//
//   runs = ["runs/quickstart-*", "runs/mainline"]   # folders; * and ? as in a shell
//   steps = "every 500"                             # or "all", "first", "last", "grokked", or a list
//
//   [[probe]]                                       # as in a training config
//   name = "fourier_basis"
#pragma once

#include <string>
#include <vector>

#include "engine/config/reference.h"
#include "engine/config/settings.h"
#include "engine/config/step_choice.h"

namespace orrery::engine {

struct Pipeline {
  std::vector<std::string> runs;  ///< folders or globs of them; empty: the command line must name them
  StepChoice steps;
  std::vector<ProbeChoice> probes;
};

/// Its keys besides [[probe]].
ConfigTable pipeline_table();

/// Throws UsageError, with the place, for the first error, also if there is no probe.
Pipeline resolve_pipeline(const Document& document, const ParametersOf& parameters_of);

}  // namespace orrery::engine
