// The configs that come with Orrery, or that lie in configs/ here.
#pragma once

#include <filesystem>
#include <vector>

#include "engine/config/document.h"

namespace orrery::engine {

/// configs/ in this folder, or else the installed one; "configs" if there is neither.
std::filesystem::path configs_folder();

/// Every config and sweep in `folder` and the folders below it, sorted; without the pipelines. Throws
/// UsageError if there is no such folder or one of them is no TOML.
std::vector<std::filesystem::path> configs_below(const std::filesystem::path& folder);

/// Throws UsageError if two of these configs, or two of these sweeps, have the same name, and so the same
/// folder for their runs.
void refuse_same_names(const std::vector<std::filesystem::path>& files);

/// Whether `document` says which probes to run over which runs.
bool is_pipeline(const Document& document);

/// Where a config that is not at `file` lies by now: "configs/x.toml is now configs/nanda_2023/x.toml"; ""
/// if no file of that name is below configs/. A sweep is looked for in folders called sweeps first, and a
/// config outside them.
std::string moved_to(const std::filesystem::path& file);

}  // namespace orrery::engine
