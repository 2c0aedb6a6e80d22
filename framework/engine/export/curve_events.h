// The curves of a run as event files for TensorBoard.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "engine/export/event_file.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// The default folder for event files.
std::filesystem::path events_folder(const RunDirectory& run);

/// By step, the columns of metrics.jsonl and the scalars of probes (as probe/LABEL/NAME) whose name is
/// `wanted`. Throws orrery::Error if the run's files are damaged.
std::map<int64_t, tensorboard::Scalars> curve_points(
    const RunDirectory& run, const std::function<bool(const std::string& name)>& wanted);

/// The bytes of an event file with these points. Wall times are interpolated within the sessions in run.json.
std::string curve_events(const RunDirectory& run, const std::function<bool(const std::string& name)>& wanted);

}  // namespace orrery::engine
