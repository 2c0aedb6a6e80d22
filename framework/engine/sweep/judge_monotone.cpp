// Claims that medians rise or fall from one value of a key to the next.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/sweep/bootstrap.h"
#include "engine/sweep/judge_parts.h"

namespace orrery::engine {
namespace {

using Indices = std::vector<size_t>;

// What is known of a number: it is `low` if both are equal, else above `low` and at most `high`.
struct Known {
  double low, high;
  bool exact() const { return low == high; }
};

// A median that did not come is above what most runs of the group were looked at for; how long the others
// were looked at says nothing about these.
Known known_median(const std::vector<Observation>& all, const Indices& group) {
  const Quantile median = known_quantile(all, group, 0.5);
  if (!median.beyond) return {median.value, median.value};
  std::vector<Observation> as_if_come;
  for (const size_t i : group) as_if_come.push_back({all[i].value});
  return {std::min(median.value, survival_quantile(std::move(as_if_come), 0.5).value), infinity};
}

// The least rise (`sign` 1) or fall (-1) from a group to the next.
Known least_change(const std::vector<Observation>& all, const std::vector<Indices>& groups, double sign) {
  Known least{infinity, infinity};
  for (size_t g = 1; g < groups.size(); ++g) {
    Known from = known_median(all, groups[g - 1]), to = known_median(all, groups[g]);
    if (sign < 0) std::swap(from, to);
    least.low = std::min(least.low, to.low - from.high + 0.0);  // no -0
    least.high = std::min(least.high, to.high - from.low + 0.0);
  }
  return least;
}

bool surely_within(const Known& value, const Interval& wanted) {
  if (value.exact()) return wanted.contains(value.low);
  return wanted.contains(std::nextafter(value.low, infinity)) && wanted.contains(value.high);
}

bool perhaps_within(const Known& value, const Interval& wanted) {
  if (value.exact()) return wanted.contains(value.low);
  return (wanted.low_open ? wanted.low < value.high : wanted.low <= value.high) && wanted.high > value.low;
}

std::string known_text(const Known& value, const Interval& wanted) {
  if (value.exact()) return bounded_text(value.low, wanted);
  if (std::isinf(value.high)) return "more than " + bounded_text(value.low, wanted);
  if (std::isinf(value.low)) return "at most " + bounded_text(value.high, wanted);
  return fmt::format("{} to {}", bounded_text(value.low, wanted), bounded_text(value.high, wanted));
}

// Of the groups whose median did not come, the one that was looked at least.
std::string unknown_text(const std::vector<Observation>& all, const std::map<double, Indices>& by_key,
                         const std::string& key) {
  double last = infinity, at = 0;
  size_t never = 0;
  for (const auto& [value, group] : by_key) {
    const Known median = known_median(all, group);
    if (median.exact() || median.low >= last) continue;
    last = median.low;
    at = value;
    never = static_cast<size_t>(
        std::count_if(group.begin(), group.end(), [&](size_t i) { return all[i].censored; }));
  }
  return fmt::format("not known: {} run{} at {} = {} {} looked at up to step {:.0f} only", never,
                     never == 1 ? "" : "s", key, number_text(at), never == 1 ? "was" : "were", last);
}

// Each group is drawn from itself. The interval covers what is known of each sample.
std::optional<Bounds> interval_of_least(const std::vector<Observation>& all,
                                        const std::vector<Indices>& groups, double sign) {
  const auto bounds_of = [&](double Known::*end) {
    return bootstrap_interval_within(groups, [&](const Indices& sample) {
      std::vector<Indices> drawn;
      auto next = sample.begin();
      for (const Indices& group : groups) {
        drawn.emplace_back(next, next + static_cast<std::ptrdiff_t>(group.size()));
        next += static_cast<std::ptrdiff_t>(group.size());
      }
      return std::optional(least_change(all, drawn, sign).*end);
    });
  };
  const auto low = bounds_of(&Known::low), high = bounds_of(&Known::high);
  if (!low || !high) return std::nullopt;
  return Bounds{low->low, high->high};
}

}  // namespace

void judge_monotone(const SweepClaim& claim, const ChosenRows& rows, size_t reading, SweepVerdict& verdict) {
  const std::map<double, Indices> by_key = by_number(rows, claim.along, verdict.got);
  if (!verdict.got.empty()) return;
  const std::vector<Observation> all = observations(rows, reading);
  const double sign = claim.kind == SweepClaim::Kind::rising ? 1 : -1;
  std::vector<Indices> groups;
  std::vector<std::string> medians;
  for (const auto& [at, group] : by_key) {
    groups.push_back(group);
    const Known median = known_median(all, group);
    medians.push_back(
        fmt::format("{}{} at {}", median.exact() ? "" : "beyond ", number_text(median.low), number_text(at)));
  }
  const Known found = least_change(all, groups, sign);
  verdict.passed = surely_within(found, claim.wanted);
  const bool decided = verdict.passed || !perhaps_within(found, claim.wanted);
  verdict.got = fmt::format(
      "{} (medians {}){}", decided ? known_text(found, claim.wanted) : unknown_text(all, by_key, claim.along),
      fmt::join(medians, ", "), censored_text(all));
  verdict.interval = interval_text(interval_of_least(all, groups, sign));
}

}  // namespace orrery::engine
