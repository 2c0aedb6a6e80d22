// What a checkpoint's state says of metrics.jsonl, so that lines which a power cut or a copy has lost are
// missed. Free of LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "sdk/files/atomic_file.h"

namespace orrery::engine {

/// As metadata of a safetensors file.
std::map<std::string, std::string> as_metadata(const LogContent& metrics);
/// Nothing if they are not there.
std::optional<LogContent> log_content_in(const std::map<std::string, std::string>& metadata);

/// Throws orrery::Error if the log does not begin with the lines that it had `when`.
void check_log(const std::filesystem::path& log, const LogContent& claimed, const std::string& when);

/// For runs of earlier versions: throws orrery::Error if the log has no line of the last evaluation up to
/// `step` that the config in `run_json` asks for. Cannot tell of a session that began later, or of a damaged
/// run.json.
void check_reaches(const std::filesystem::path& log, int64_t step, const std::filesystem::path& run_json);

}  // namespace orrery::engine
