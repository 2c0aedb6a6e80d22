#include "engine/sweep/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace orrery::engine {

std::optional<Bounds> bootstrap_interval_within(
    const std::vector<std::vector<size_t>>& groups,
    const std::function<std::optional<double>(const std::vector<size_t>&)>& statistic) {
  const auto is_alone = [](const std::vector<size_t>& group) { return group.size() < 2; };
  if (std::any_of(groups.begin(), groups.end(), is_alone)) return std::nullopt;
  constexpr int resamples = 2000;
  constexpr uint64_t seed = 1;
  std::mt19937_64 random(seed);
  std::vector<double> values;
  std::vector<size_t> sample;
  for (int i = 0; i < resamples; ++i) {
    sample.clear();
    // Not std::uniform_int_distribution, which differs between standard libraries.
    for (const std::vector<size_t>& group : groups)
      for (size_t draw = 0; draw < group.size(); ++draw)
        sample.push_back(group[static_cast<size_t>(((random() >> 32) * group.size()) >> 32)]);
    if (const auto value = statistic(sample)) values.push_back(*value);
  }
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {
    return values[static_cast<size_t>(std::lround(q * static_cast<double>(values.size() - 1)))];
  };
  return Bounds{at(0.025), at(0.975)};
}

std::optional<Bounds> bootstrap_interval(
    size_t n, const std::function<std::optional<double>(const std::vector<size_t>&)>& statistic) {
  std::vector<size_t> all(n);
  std::iota(all.begin(), all.end(), size_t{0});
  return bootstrap_interval_within({all}, statistic);
}

}  // namespace orrery::engine
