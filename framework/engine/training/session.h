// Training a run from its settings to its end, or on from where it was interrupted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/config/settings.h"
#include "engine/experiment/experiment.h"
#include "engine/train/loop.h"

namespace orrery::engine {

struct TrainedRun {
  Ending ending;
  int64_t step;         ///< where it ended
  bool probed;          ///< whether all probes have their results
  std::string summary;  ///< for people; empty unless it came to its end and was probed
};

/// Trains in the directory `path`: a new one, or, with `resume`, one that holds a run. Throws before anything
/// is written if the settings cannot be trained.
TrainedRun train_run(const Registry& registry, const Settings& settings, const std::filesystem::path& path,
                     bool resume);

}  // namespace orrery::engine
