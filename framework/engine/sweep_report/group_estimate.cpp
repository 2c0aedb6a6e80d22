#include "engine/sweep_report/group_estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/sweep/bootstrap.h"

namespace orrery::engine {
namespace {

std::vector<Observation> drawn(const std::vector<Observation>& group, const std::vector<size_t>& sample) {
  std::vector<Observation> some;
  some.reserve(sample.size());
  for (const size_t i : sample) some.push_back(group[i]);
  return some;
}

double mean_of(const std::vector<Observation>& group) {
  const double sum = std::accumulate(group.begin(), group.end(), 0.0,
                                     [](double total, const Observation& one) { return total + one.value; });
  return sum / static_cast<double>(group.size());
}

}  // namespace

std::optional<Observation> observed(const SweepRow& row, size_t reading) {
  if (reading >= row.readings.size()) return std::nullopt;
  const ReadingValue& value = row.readings[reading];
  if (value.value)
    return std::isfinite(*value.value) ? std::optional(Observation{*value.value}) : std::nullopt;
  if (value.censored_at) return Observation{static_cast<double>(*value.censored_at), true};
  return std::nullopt;
}

GroupEstimate estimate_group(const std::vector<Observation>& group) {
  GroupEstimate made;
  made.n = group.size();
  made.never = static_cast<size_t>(
      std::count_if(group.begin(), group.end(), [](const Observation& one) { return one.censored; }));
  made.median = survival_quantile(group, 0.5);
  if (made.never == 0) made.mean = mean_of(group);
  if (made.n < 2) return made;
  made.median_band = bootstrap_interval(made.n, [&](const std::vector<size_t>& sample) {
    const Quantile median = survival_quantile(drawn(group, sample), 0.5);
    return std::optional(median.beyond ? std::numeric_limits<double>::infinity() : median.value);
  });
  if (made.mean)
    made.mean_band = bootstrap_interval(made.n, [&](const std::vector<size_t>& sample) {
      return std::optional(mean_of(drawn(group, sample)));
    });
  return made;
}

}  // namespace orrery::engine
