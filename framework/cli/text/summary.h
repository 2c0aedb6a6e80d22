// What a training says when it begins and when it ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/experiment/experiment.h"
#include "engine/inspect/overview.h"
#include "engine/run/run_directory.h"
#include "engine/train/loop.h"

namespace orrery::cli {

using namespace engine;

/// "quickstart: transformer on modular_arithmetic, 212,864 parameters, 1,392 training and 2,089 test
/// examples".
std::string network_text(const std::string& name, const std::string& model, const std::string& task,
                         std::optional<int64_t> n_parameters, std::optional<int64_t> n_train,
                         std::optional<int64_t> n_test);

/// The network and its data, and where the run goes.
std::string opening_text(Experiment& experiment, const RunDirectory& run, int64_t step);

/// When accuracies reached 100 %, the last losses, what probes found, and what to type next.
/// Of a run that was trained to its end, with its run.json.
std::string summary_text(const Overview& seen, Ending ending);

}  // namespace orrery::cli
