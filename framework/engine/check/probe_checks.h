// Checks of a probe: it measures, leaves what it is shown unchanged, and gives the same numbers for the same
// network.
#pragma once

#include <memory>
#include <vector>

#include "engine/check/probe_under_check.h"

namespace orrery::engine::checks {

std::vector<Check> probe_checks(std::shared_ptr<ProbeUnderCheck> probe);

// The checks, by room.

// probe_needs.cpp
Result measures(ProbeUnderCheck& probe);
Result needs_declared(ProbeUnderCheck& probe);

// probe_traces.cpp
Result leaves_the_model(ProbeUnderCheck& probe);
Result leaves_what_it_is_shown(ProbeUnderCheck& probe);
Result leaves_torch(ProbeUnderCheck& probe);

// probe_numbers.cpp
Result same_numbers_twice(ProbeUnderCheck& probe);
Result online_and_offline(ProbeUnderCheck& probe);
Result names_stable(ProbeUnderCheck& probe);

// probe_records.cpp
Result measures_null(ProbeUnderCheck& probe);
Result figures_whole(ProbeUnderCheck& probe);
Result findings_of_their_kind(ProbeUnderCheck& probe);
Result records_stored(ProbeUnderCheck& probe);

// probe_conclusion.cpp
Result concludes(ProbeUnderCheck& probe);

/// figure_fault() of orrery/recorder.h, or that a label is missing, or "".
std::string drawing_fault(const Figure& figure);
/// The first error in a finding, or "": a kind of orrery/findings.h must have the fields listed there.
std::string finding_fault(const Finding& finding);
/// The names of scalars, tensors and figures that must not change from step to step. Leaves out names with a
/// part KEY=VALUE, as in "neurons/k=14", which depend on what the probe found.
std::vector<std::string> stable_names(const Record& record);

}  // namespace orrery::engine::checks
