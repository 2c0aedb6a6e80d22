// What a report needs besides the run: summaries of its probes, and the settings that are not at their
// defaults.
#pragma once

#include "engine/report/report.h"
#include "engine/reporter/reporter.h"
#include "engine/run/run_directory.h"
#include "loader/registry.h"

namespace orrery::engine {

/// Skips plugins and settings that this program does not know, because a report does not need them.
ReportChoices report_choices(const Registry& registry, const RunDirectory& run);

/// Writes the page of a run to `file`; reports its size and what was left out.
void write_report(const RunDirectory& run, const ReportChoices& choices, const std::filesystem::path& file,
                  Reporter& reporter);

}  // namespace orrery::engine
