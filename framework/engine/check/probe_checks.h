// Checks of a probe: that it measures, leaves alone what it is shown, and says the same of the same network.
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

/// What is wrong with one figure; "" if nothing is.
std::string figure_fault(const Figure& figure);
/// Likewise with a finding: the kinds of orrery/findings.h have these fields.
std::string finding_fault(const Finding& finding);
/// The names of scalars, tensors and figures, without those of things that were found: a part of a name that
/// reads KEY=VALUE, as in "neurons/k=14", says so.
std::vector<std::string> stable_names(const Record& record);

}  // namespace orrery::engine::checks
