// The files of a run by name, shared by the sources of RunDirectory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sdk/files/atomic_file.h"

namespace orrery::engine {

constexpr const char* weights_extension = ".safetensors";
constexpr const char* state_extension = ".state.safetensors";

/// "step_00000100.safetensors".
std::string step_name(int64_t step, const char* extension);
/// Throws orrery::Error if it is there and cannot be deleted.
void remove_file(const std::filesystem::path& path);
/// "metrics.jsonl:12", of the line at `index`.
std::string line_place(const std::filesystem::path& file, size_t index);
/// Empty if there is no such file.
std::vector<std::string> lines_if_any(const std::filesystem::path& path);
/// The steps of all lines. Throws orrery::Error, with the line, if one has none.
std::vector<int64_t> steps_in_log(const std::filesystem::path& log);

}  // namespace orrery::engine
