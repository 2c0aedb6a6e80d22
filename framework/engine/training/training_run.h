// Trains a run from its settings to its end, or resumes it after an interruption.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/settings.h"
#include "engine/probing/probe_runner.h"
#include "engine/reporter/reporter.h"
#include "engine/train/loop.h"
#include "loader/registry.h"

namespace orrery::engine {

struct TrainedRun {
  Ending ending;
  int64_t step;                           ///< the last step
  bool probed;                            ///< whether training reached its end and asked all probes
  std::optional<int64_t> last_good = {};  ///< if it diverged: the last checkpoint with a finite loss
  std::vector<ProbeTally> failed_probes =
      {};  ///< those that failed in this session, in the order of the config
};

enum class Start { anew, resume };
/// Whether the run will be held to its [[expect]] entries: then one that it can never answer is an error.
enum class Purpose { train, verify };

/// Trains in the directory `path`: a new one, or one with a run to resume. If the settings cannot be trained,
/// throws before writing anything.
TrainedRun train_run(const Registry& registry, const Settings& settings, const std::filesystem::path& path,
                     Start start, Reporter& reporter, Purpose purpose = Purpose::train);

/// The sizes of a network and its data; nothing where unknown.
struct NetworkSizes {
  std::optional<int64_t> n_parameters, n_train, n_test;
  bool endless = false;  ///< training examples are drawn without end
};
/// "quickstart: transformer on modular_arithmetic, 212,864 parameters, 1,392 training and 2,089 test
/// examples", with "?" for unknown numbers.
std::string network_text(const std::string& name, const std::string& model, const std::string& task,
                         const NetworkSizes& sizes);

}  // namespace orrery::engine
