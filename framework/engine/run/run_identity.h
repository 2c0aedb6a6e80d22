// Which run a checkpoint is of. A hash of what the network was made from stands in run.json and in the
// checkpoints, so that those exchanged between two runs are found. Free of LibTorch.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "engine/run/json_read.h"

namespace orrery::engine {

/// Equal for runs whose networks are the same at every step that both have: it is of the task, the model, the
/// training, the seeds and the start, but not of when the training ends or who looks at it.
std::string identity_of_config(const Json& config);
/// That in the run.json of a run; "" if an earlier version wrote it, or if there is none.
std::string identity_of(const std::filesystem::path& root);

/// As metadata of a safetensors file; empty for "".
std::map<std::string, std::string> identity_as_metadata(const std::string& identity);
/// Throws orrery::Error if `file`, a checkpoint or its state, says that it is of another run than `root`. One
/// that cannot be read, or of an earlier version, says nothing.
void refuse_file_of_other_run(const std::filesystem::path& file, const std::filesystem::path& root);
/// The same for a run of this identity.
void refuse_file_of_other_run(const std::filesystem::path& file, const std::string& identity);

}  // namespace orrery::engine
