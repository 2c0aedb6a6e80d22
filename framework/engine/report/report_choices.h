// What a report says that does not lie in the run: what its probes are, and which settings are not the usual
// ones.
#pragma once

#include "engine/report/report.h"
#include "engine/reporter/reporter.h"
#include "engine/run/run_directory.h"
#include "loader/registry.h"

namespace orrery::engine {

/// A plugin or a setting that this program does not know is passed over: a run can be looked at without it.
ReportChoices report_choices(const Registry& registry, const RunDirectory& run);

/// Writes the page of a run to `file`; notes how large it is and what was left out.
void write_report(const RunDirectory& run, const ReportChoices& choices, const std::filesystem::path& file,
                  Reporter& reporter);

}  // namespace orrery::engine
