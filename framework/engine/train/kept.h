// Which checkpoints stay when those of a run are thinned.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "engine/train/schedule.h"

namespace orrery::engine {

struct KeepRule {
  int64_t last = 1;          ///< as many of the newest
  int64_t every = 0;         ///< the multiples of this; 0: none
  std::set<int64_t> marked;  ///< these, too
};

/// The steps of `there` (ascending) that stay: the first, the newest, those that the rule names, and those
/// that `schedule` spaces logarithmically. Thinning what was thinned before gives the same as thinning once.
std::set<int64_t> kept_steps(const std::vector<int64_t>& there, const KeepRule& rule,
                             const CheckpointSchedule& schedule);

}  // namespace orrery::engine
