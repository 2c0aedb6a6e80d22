#include "engine/train/schedule.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace orrery::engine {

CheckpointSchedule::CheckpointSchedule(const CheckpointSettings& settings, int64_t last)
    : every_(settings.every), last_(last) {
  if (settings.every < 0 || settings.per_decade < 0 || last < 0)
    throw UsageError(
        fmt::format("checkpoints every {} steps and {} per decade, up to step {}: none may be negative",
                    settings.every, settings.per_decade, last));
  if (settings.per_decade == 0) return;
  for (int64_t k = 0;; ++k) {
    const double exact = std::pow(10.0, static_cast<double>(k) / static_cast<double>(settings.per_decade));
    const double rounded = std::round(exact);
    if (rounded > static_cast<double>(last)) return;
    const auto step = static_cast<int64_t>(rounded);
    if (logarithmic_.empty() || logarithmic_.back() < step) logarithmic_.push_back(step);
  }
}

bool CheckpointSchedule::due(int64_t step) const {
  if (step < 0 || step > last_) return false;
  return step == 0 || step == last_ || (every_ > 0 && step % every_ == 0) || is_logarithmic(step);
}

bool CheckpointSchedule::is_logarithmic(int64_t step) const {
  return std::binary_search(logarithmic_.begin(), logarithmic_.end(), step);
}

int64_t CheckpointSchedule::count(int64_t from, int64_t each) const {
  if (from > last_) return 0;
  int64_t number = 0;
  if (every_ > 0) {
    // The least common multiple, unless that is beyond the last step.
    const int64_t factor = every_ / std::gcd(every_, each);
    const int64_t multiple = factor > last_ / each ? last_ + 1 : factor * each;
    number = last_ / multiple + 1 - (from > 0 ? (from - 1) / multiple + 1 : 0);
  }
  std::set<int64_t> others(logarithmic_.begin(), logarithmic_.end());
  others.insert({0, last_});
  for (const int64_t step : others)
    number += step >= from && step % each == 0 && (every_ == 0 || step % every_ != 0);
  return number;
}

std::vector<int64_t> CheckpointSchedule::steps() const {
  std::vector<int64_t> all = logarithmic_;
  all.push_back(0);
  all.push_back(last_);
  if (every_ > 0)
    for (int64_t count = 1; count <= last_ / every_; ++count) all.push_back(count * every_);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace orrery::engine
