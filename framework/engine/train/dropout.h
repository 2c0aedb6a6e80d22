// Dropout while training (Srivastava et al. 2014), as hooks on the activations it thins out.
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
  /// Nothing where settings.dropout is 0. Throws orrery::UsageError where no hook point of the model is
  /// matched by settings.dropout_at.
  static std::optional<Dropout> from(const TrainSettings& settings, const Model& model, uint64_t seed);

  /// Each sets the entries of an activation to 0 with probability `rate` and divides the others by 1 - rate.
  std::vector<Hook> hooks();
  torch::Generator rng() const { return rng_; }

 private:
  Dropout(double rate, std::vector<std::string> points, uint64_t seed);
  double rate_;
  std::vector<std::string> points_;
  torch::Generator rng_;
};

}  // namespace orrery::engine
