// Refuses a stage that can never start, before anything is trained for it.
#pragma once

#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

/// Throws UsageError, with the place of `checkpoint`, if `parent`, a run that runs of `stage` are to start
/// from, is certain never to keep that checkpoint. What depends on how it trains passes.
void check_start(const SweepPlan& plan, const SweepStage& stage, const SweptRun& parent);

}  // namespace orrery::engine
