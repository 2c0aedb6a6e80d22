#include "engine/sweep/row_check.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/experiment/rows.h"

namespace orrery::engine {

void refuse_missing_rows(const SweepPlan& plan) {
  for (const SweepReading& reading : plan.file.readings) {
    const Expectation& asked = reading.question;
    const Settings* example = nullptr;
    bool found = false;
    for (const SweptRun& run : plan.runs) {
      found = found || !run.settings || has_row(*run.settings, asked);
      if (!example && run.settings) example = run.settings.get();
    }
    if (found || !example) continue;
    throw UsageError(fmt::format("{}: when: \"{}\" is a row that no run has of {}", reading.when_place,
                                 asked.when, asked.metric),
                     advice_on_rows(*example, asked));
  }
}

}  // namespace orrery::engine
