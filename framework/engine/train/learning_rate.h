// How the learning rate goes over the steps of a training.
#pragma once

#include <cstdint>

#include "engine/config/train_settings.h"

namespace orrery::engine {

/// What the learning rates are multiplied by in the update after `step` updates: the warm-up, and then
/// train.lr_schedule. linear and cosine fall from 1 after the warm-up to lr_end after train.steps updates.
double lr_factor(const TrainSettings& settings, int64_t step);

}  // namespace orrery::engine
