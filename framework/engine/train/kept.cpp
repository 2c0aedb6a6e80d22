#include "engine/train/kept.h"

#include <algorithm>

namespace orrery::engine {

std::set<int64_t> kept_steps(const std::vector<int64_t>& there, const KeepRule& rule,
                             const CheckpointSchedule& schedule) {
  std::set<int64_t> kept;
  if (there.empty()) return kept;
  kept.insert(there.front());
  const auto newest = static_cast<size_t>(std::max<int64_t>(rule.last, 1));
  for (size_t i = there.size() - std::min(newest, there.size()); i < there.size(); ++i) kept.insert(there[i]);
  for (const int64_t step : there)
    if ((rule.every > 0 && step % rule.every == 0) || rule.marked.contains(step) ||
        schedule.is_logarithmic(step))
      kept.insert(step);
  return kept;
}

}  // namespace orrery::engine
