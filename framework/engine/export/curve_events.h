// The curves of a run as event files for TensorBoard.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "engine/export/event_file.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// Where event files go, unless somebody says otherwise.
std::filesystem::path events_folder(const RunDirectory& run);

/// By step, every column of metrics.jsonl and every scalar of probes, as probe/LABEL/NAME, whose name is
/// `wanted`. Throws orrery::Error where the run's files are damaged.
std::map<int64_t, tensorboard::Scalars> curve_points(
    const RunDirectory& run, const std::function<bool(const std::string& name)>& wanted);

/// The bytes of an event file with these. Wall times are those of the sessions in run.json: a step's share of
/// its session.
std::string curve_events(const RunDirectory& run, const std::function<bool(const std::string& name)>& wanted);

}  // namespace orrery::engine
