#include "engine/sweep_report/group_estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/sweep/bootstrap.h"

namespace orrery::engine {
namespace {

// Resamples of a group in ascending order, so that the quantile's own sort, most of the work, is short.
class Resampler {
 public:
  explicit Resampler(const std::vector<Observation>& group) : ordered_(group), rank_(group.size()) {
    std::vector<size_t> order(group.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return group[a].value != group[b].value ? group[a].value < group[b].value
                                              : group[a].censored < group[b].censored;
    });
    for (size_t i = 0; i < order.size(); ++i) {
      ordered_[i] = group[order[i]];
      rank_[order[i]] = i;
    }
  }
  std::vector<Observation> drawn(const std::vector<size_t>& sample) {
    times_.assign(ordered_.size(), 0);
    for (const size_t i : sample) ++times_[rank_[i]];
    std::vector<Observation> some;
    some.reserve(sample.size());
    for (size_t i = 0; i < times_.size(); ++i) some.insert(some.end(), times_[i], ordered_[i]);
    return some;
  }

 private:
  std::vector<Observation> ordered_;
  std::vector<size_t> rank_, times_;
};

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
  Resampler resampler(group);
  made.median_band = bootstrap_interval(made.n, [&](const std::vector<size_t>& sample) {
    const Quantile median = survival_quantile(resampler.drawn(sample), 0.5);
    return std::optional(median.beyond ? std::numeric_limits<double>::infinity() : median.value);
  });
  if (made.mean)
    made.mean_band = bootstrap_interval(made.n, [&](const std::vector<size_t>& sample) {
      double sum = 0;
      for (const size_t i : sample) sum += group[i].value;
      return std::optional(sum / static_cast<double>(sample.size()));
    });
  return made;
}

}  // namespace orrery::engine
