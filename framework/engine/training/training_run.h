// Training a run from its settings to its end, or on from where it was interrupted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "engine/config/settings.h"
#include "engine/reporter/reporter.h"
#include "engine/train/loop.h"
#include "loader/registry.h"

namespace orrery::engine {

struct TrainedRun {
  Ending ending;
  int64_t step;  ///< where it ended
  bool probed;   ///< whether it came to its end and all probes were asked
};

enum class Start { anew, resume };

/// Trains in the directory `path`: a new one, or one that holds a run to be resumed. Throws before anything
/// is written if the settings cannot be trained.
TrainedRun train_run(const Registry& registry, const Settings& settings, const std::filesystem::path& path,
                     Start start, Reporter& reporter);

/// "quickstart: transformer on modular_arithmetic, 212,864 parameters, 1,392 training and 2,089 test
/// examples". "?" stands for a number that is not known.
std::string network_text(const std::string& name, const std::string& model, const std::string& task,
                         std::optional<int64_t> n_parameters, std::optional<int64_t> n_train,
                         std::optional<int64_t> n_test);

}  // namespace orrery::engine
