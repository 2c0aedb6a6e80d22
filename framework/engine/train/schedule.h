// When a run writes checkpoints: every N steps, logarithmically, or both.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/config/train_settings.h"

namespace orrery::engine {

/// Always steps 0 and `last`; the multiples of settings.every (0: none); and settings.per_decade steps per
/// factor of ten (0: none): 10^(k / per_decade), k = 0, 1, ..., rounded to the nearest integer. Small ones
/// that round to the same step give one checkpoint.
class CheckpointSchedule {
 public:
  /// Throws orrery::UsageError if a setting or `last` is negative.
  CheckpointSchedule(const CheckpointSettings& settings, int64_t last);

  bool due(int64_t step) const;
  /// Whether settings.per_decade asks for it.
  bool is_logarithmic(int64_t step) const;
  /// How many of them are at `from` or later and multiples of `each`, without listing them.
  int64_t count(int64_t from = 0, int64_t each = 1) const;
  /// All of them, ascending.
  std::vector<int64_t> steps() const;

 private:
  int64_t every_, last_;
  std::vector<int64_t> logarithmic_;  // ascending
};

}  // namespace orrery::engine
