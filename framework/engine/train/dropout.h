// Dropout in training (Srivastava et al. 2014), as hooks on activations.
#pragma once

#include <orrery/hooks.h>
#include <orrery/model.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/config/train_settings.h"

namespace orrery::engine {

class Dropout {
 public:
  /// Nothing if settings.dropout is 0. Throws orrery::UsageError if settings.dropout_at matches no hook point
  /// of the model.
  static std::optional<Dropout> from(const TrainSettings& settings, const Model& model, uint64_t seed);

  /// Hooks that set entries of an activation to 0 with probability settings.dropout and divide the others by
  /// 1 - settings.dropout. They refer to this object.
  std::vector<Hook> hooks();
  torch::Generator rng() const { return rng_; }

 private:
  Dropout(double rate, std::vector<std::string> points, uint64_t seed);
  double rate_;
  std::vector<std::string> points_;
  torch::Generator rng_;
};

}  // namespace orrery::engine
