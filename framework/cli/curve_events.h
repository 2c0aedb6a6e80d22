// The curves of a run as event files for TensorBoard.
#pragma once

#include <functional>
#include <string>

#include "run/run_directory.h"

namespace orrery::cli {

/// Where event files go, unless somebody says otherwise.
std::filesystem::path events_folder(const RunDirectory& run);

/// The bytes of an event file with every column of metrics.jsonl that `wanted` holds for, and every scalar of
/// probes, as probe/LABEL/NAME. Wall times are those of the sessions in run.json: a step's share of its
/// session.
std::string curve_events(const RunDirectory& run, const std::function<bool(const std::string& name)>& wanted);

}  // namespace orrery::cli
