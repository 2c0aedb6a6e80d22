#include "engine/train/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace orrery::engine {
namespace {

// 0 at the end of the warm-up, 1 at the end of the training.
double share_done(const TrainSettings& settings, int64_t step) {
  const auto length = static_cast<double>(settings.steps - settings.warmup_steps);
  if (length <= 0) return 0;
  return std::clamp(static_cast<double>(step - settings.warmup_steps) / length, 0.0, 1.0);
}

double scheduled(const TrainSettings& settings, int64_t step) {
  switch (settings.lr_schedule) {
    case TrainSettings::Schedule::constant:
      return 1;
    case TrainSettings::Schedule::linear:
      return 1 - (1 - settings.lr_end) * share_done(settings, step);
    case TrainSettings::Schedule::cosine:
      return settings.lr_end +
             (1 - settings.lr_end) * (1 + std::cos(std::numbers::pi * share_done(settings, step))) / 2;
    case TrainSettings::Schedule::steps:
      return std::pow(settings.lr_factor,
                      static_cast<double>(std::count_if(settings.lr_steps.begin(), settings.lr_steps.end(),
                                                        [&](int64_t at) { return at <= step; })));
  }
  return 1;
}

}  // namespace

double lr_factor(const TrainSettings& settings, int64_t step) {
  const double warm =
      settings.warmup_steps == 0 ? 1 : std::min(1.0, static_cast<double>(step) / settings.warmup_steps);
  return warm * scheduled(settings, step);
}

}  // namespace orrery::engine
