// What plugins do in a training.
#pragma once

#include <orrery/loss.h>
#include <orrery/update.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/config/train_settings.h"

namespace orrery::engine {

/// An update plugin of a run, with its entry in the config. `update` is null for the framework's optimiser.
struct ChainedUpdate {
  UpdateChoice choice;
  std::string who;  ///< "update grokfast_ema 1.0.0"
  std::unique_ptr<Update> update;
};

/// Nothing by default.
struct TrainingPlugins {
  std::unique_ptr<LossFunction> loss = nullptr;  ///< in place of the task's loss
  std::vector<ChainedUpdate> updates = {};
};

}  // namespace orrery::engine
