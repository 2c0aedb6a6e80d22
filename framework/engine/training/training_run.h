// Trains a run from its settings to its end, or resumes it after an interruption.
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
  int64_t step;  ///< the last step
  bool probed;   ///< whether training reached its end and asked all probes
};

enum class Start { anew, resume };

/// Trains in the directory `path`: a new one, or one with a run to resume. If the settings cannot be trained,
/// throws before writing anything.
TrainedRun train_run(const Registry& registry, const Settings& settings, const std::filesystem::path& path,
                     Start start, Reporter& reporter);

/// "quickstart: transformer on modular_arithmetic, 212,864 parameters, 1,392 training and 2,089 test
/// examples", with
/// "?" for unknown numbers.
std::string network_text(const std::string& name, const std::string& model, const std::string& task,
                         std::optional<int64_t> n_parameters, std::optional<int64_t> n_train,
                         std::optional<int64_t> n_test);

}  // namespace orrery::engine
