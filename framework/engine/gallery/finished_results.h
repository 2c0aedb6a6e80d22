// Judges what is there of a config or a sweep, and trains nothing.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "engine/config/settings.h"
#include "engine/gallery/gallery_entry.h"
#include "engine/sweep/sweep_plan.h"
#include "loader/registry.h"

namespace orrery::engine {

/// What was found for one config or sweep.
struct FinishedResults {
  std::optional<GalleryEntry> entry;  ///< nothing if it is not finished
  std::string why;                    ///< then: "no run in runs/verify/x", "3 of 8 runs are done"
  GallerySettings gallery;
  std::filesystem::path run;                   ///< the run's folder, of a config
  std::shared_ptr<const SweepPlan> plan = {};  ///< of a sweep
};

/// `runs`: the folder in which runs and sweeps are; "": runs/verify and runs/sweeps. Throws UsageError if the
/// file is wrong, or has no [[expect]].
FinishedResults finished_results(const Registry& registry, const std::filesystem::path& file,
                                 const std::filesystem::path& runs);

}  // namespace orrery::engine
