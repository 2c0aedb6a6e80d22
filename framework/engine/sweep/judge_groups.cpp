// Claims that compare groups of runs, or readings with each other.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "engine/sweep/bootstrap.h"
#include "engine/sweep/judge_parts.h"

namespace orrery::engine {
namespace {

using Indices = std::vector<size_t>;

Indices all_of(size_t n) {
  Indices indices(n);
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

std::string interval_text(const std::optional<Bounds>& bounds) {
  if (!bounds) return "";
  const auto end = [](double value) {
    return std::isinf(value) ? (value > 0 ? "beyond the end" : "-infinity") : number_text(value);
  };
  return fmt::format("{} to {}", end(bounds->low), end(bounds->high));
}

std::optional<double> unless_nan(double value) {
  return std::isnan(value) ? std::nullopt : std::optional(value);
}

std::string median_text(double value) { return std::isinf(value) ? "never" : number_text(value); }

// The runs of each value of a key, by the value.
std::map<double, Indices> by_number(const ChosenRows& rows, const std::string& key, std::string& why) {
  std::map<double, Indices> groups;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto at = coordinate(*rows[i], key);
    if (!at) {
      why = fmt::format("{} is not a number in run {}", key, rows[i]->run->id);
      return {};
    }
    groups[*at].push_back(i);
  }
  if (groups.size() < 2) why = fmt::format("{} is the same in every run", key);
  return groups;
}

std::string text_at(const SweepRow& row, const std::string& key) {
  for (const Override& each : row.run->point.coordinates())
    if (each.key == key) return orrery::to_string(each.value);
  return "";
}

// A curve: its value at each x.
using CurveOfRun = std::map<double, double>;

// The largest difference between the mean curves of the groups, and where.
struct LargestGap {
  std::optional<double> size;
  double at = 0;
  size_t low = 0, high = 0;  // the groups
};
LargestGap largest_gap(const std::vector<CurveOfRun>& curves, const std::vector<Indices>& groups) {
  std::map<double, std::vector<std::pair<size_t, double>>> means;  // by x: the group and its mean
  for (size_t g = 0; g < groups.size(); ++g) {
    std::map<double, std::pair<double, int>> sums;
    for (const size_t i : groups[g])
      for (const auto& [x, y] : curves[i]) {
        sums[x].first += y;
        ++sums[x].second;
      }
    for (const auto& [x, sum] : sums) means[x].emplace_back(g, sum.first / sum.second);
  }
  LargestGap gap;
  for (const auto& [x, all] : means) {
    if (all.size() < 2) continue;
    const auto [low, high] = std::minmax_element(
        all.begin(), all.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    if (gap.size && high->second - low->second <= *gap.size) continue;
    gap = {high->second - low->second, x, low->first, high->first};
  }
  return gap;
}

// What the claim compares, for each run; empty, and `why`, if there is nothing to compare.
std::vector<CurveOfRun> curves_to_compare(const SweepClaim& claim, const ChosenRows& rows, int reading,
                                          std::string& why) {
  std::vector<CurveOfRun> curves(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (claim.of_curves()) {
      const auto found = rows[i]->curves.find(claim.subject);
      if (found != rows[i]->curves.end()) curves[i] = {found->second.begin(), found->second.end()};
      if (curves[i].empty()) why = fmt::format("run {} has no metric {}", rows[i]->run->id, claim.subject);
      continue;
    }
    const ReadingValue& value = rows[i]->readings[static_cast<size_t>(reading)];
    const auto at = claim.along.empty() ? std::optional(0.0) : coordinate(*rows[i], claim.along);
    if (!value.value)
      why = fmt::format("{} never came in run {}, so it has no mean", claim.subject, rows[i]->run->id);
    if (!at) why = fmt::format("{} is not a number in run {}", claim.along, rows[i]->run->id);
    if (value.value && at) curves[i] = {{*at, *value.value}};
  }
  return curves;
}

}  // namespace

void judge_spread(const SweepClaim& claim, const ChosenRows& rows, size_t reading, SweepVerdict& verdict) {
  const std::vector<Observation> all = observations(rows, reading);
  const double low_q = (1 - claim.q) / 2, high_q = (1 + claim.q) / 2;
  const auto spread = [&](const Indices& sample) {
    return quantile_of(all, sample, high_q) - quantile_of(all, sample, low_q);
  };
  const Indices whole = all_of(all.size());
  const double low = quantile_of(all, whole, low_q), high = quantile_of(all, whole, high_q);
  if (std::isinf(high)) {
    verdict.got = fmt::format("from {} to beyond the end{}", median_text(low), censored_text(all));
    return;
  }
  verdict.passed = claim.wanted.contains(high - low);
  verdict.got = fmt::format("{}, from {} to {}{}", bounded_text(high - low, claim.wanted), number_text(low),
                            number_text(high), censored_text(all));
  verdict.interval = interval_text(
      bootstrap_interval(all.size(), [&](const Indices& sample) { return unless_nan(spread(sample)); }));
}

void judge_monotone(const SweepClaim& claim, const ChosenRows& rows, size_t reading, SweepVerdict& verdict) {
  const std::map<double, Indices> by_key = by_number(rows, claim.along, verdict.got);
  if (!verdict.got.empty()) return;
  const std::vector<Observation> all = observations(rows, reading);
  const double sign = claim.kind == SweepClaim::Kind::rising ? 1 : -1;
  std::vector<Indices> groups;
  std::vector<std::string> medians;
  for (const auto& [at, group] : by_key) {
    groups.push_back(group);
    medians.push_back(fmt::format("{} at {}", median_text(quantile_of(all, group, 0.5)), number_text(at)));
  }
  const auto least = [&](const std::vector<Indices>& drawn) {
    double least = infinity;
    for (size_t g = 1; g < drawn.size(); ++g) {
      const double change = sign * (quantile_of(all, drawn[g], 0.5) - quantile_of(all, drawn[g - 1], 0.5));
      if (std::isnan(change)) return change;
      least = std::min(least, change + 0.0);  // no -0
    }
    return least;
  };
  const double found = least(groups);
  const std::string list = fmt::format("{}", fmt::join(medians, ", "));
  if (std::isnan(found)) {
    verdict.got = "two medians lie beyond the last step: " + list;
    return;
  }
  verdict.passed = claim.wanted.contains(found);
  verdict.got = fmt::format("{} (medians {}){}",
                            std::isinf(found) ? "beyond the end" : bounded_text(found, claim.wanted), list,
                            censored_text(all));
  verdict.interval = interval_text(bootstrap_interval_within(groups, [&](const Indices& sample) {
    std::vector<Indices> drawn;
    size_t next = 0;
    for (const Indices& group : groups) {
      drawn.emplace_back(sample.begin() + static_cast<std::ptrdiff_t>(next),
                         sample.begin() + static_cast<std::ptrdiff_t>(next + group.size()));
      next += group.size();
    }
    return unless_nan(least(drawn));
  }));
}

void judge_below(const SweepClaim& claim, const ChosenRows& rows, size_t reading, size_t other,
                 SweepVerdict& verdict) {
  size_t hits = 0;
  for (const SweepRow* row : rows) {
    const ReadingValue &a = row->readings[reading], &b = row->readings[other];
    // What never came by a step is beyond that step.
    if (a.value && b.value) hits += *a.value < *b.value;
    if (a.value && !b.value) hits += *a.value <= static_cast<double>(*b.censored_at);
  }
  const double share = static_cast<double>(hits) / static_cast<double>(rows.size());
  const Bounds bounds = wilson_interval(hits, rows.size());
  verdict.passed = claim.wanted.contains(share);
  verdict.got = fmt::format("{} ({} of {})", bounded_text(share, claim.wanted), hits, rows.size());
  verdict.interval = fmt::format("{:.3g} to {:.3g}", bounds.low, bounds.high);
}

void judge_difference(const SweepClaim& claim, const ChosenRows& rows, size_t reading, size_t other,
                      SweepVerdict& verdict) {
  const std::vector<Observation> left = observations(rows, reading), right = observations(rows, other);
  const auto difference = [&](const Indices& sample) {
    return quantile_of(left, sample, 0.5) - quantile_of(right, sample, 0.5);
  };
  const Indices whole = all_of(rows.size());
  const double found = difference(whole);
  const std::string medians = fmt::format("{} and {}", median_text(quantile_of(left, whole, 0.5)),
                                          median_text(quantile_of(right, whole, 0.5)));
  if (!std::isfinite(found)) {
    verdict.got = "a median lies beyond the last step: " + medians;
    return;
  }
  verdict.passed = claim.wanted.contains(found);
  verdict.got = fmt::format("{} (medians {})", bounded_text(found, claim.wanted), medians);
  verdict.interval = interval_text(
      bootstrap_interval(rows.size(), [&](const Indices& sample) { return unless_nan(difference(sample)); }));
}

void judge_equal(const SweepClaim& claim, const ChosenRows& rows, int reading, SweepVerdict& verdict) {
  const std::vector<CurveOfRun> curves = curves_to_compare(claim, rows, reading, verdict.got);
  if (!verdict.got.empty()) return;
  std::map<std::string, Indices> by_value;
  // Runs are drawn within their cell, so that each keeps its number of runs.
  std::map<std::pair<std::string, double>, Indices> by_cell;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string value = text_at(*rows[i], claim.across);
    by_value[value].push_back(i);
    by_cell[{value, claim.of_curves() ? 0 : curves[i].begin()->first}].push_back(i);
  }
  std::vector<Indices> groups, cells;
  std::vector<std::string> names;
  for (const auto& [value, group] : by_value) {
    names.push_back(value);
    groups.push_back(group);
  }
  for (const auto& [cell, members] : by_cell) cells.push_back(members);
  const LargestGap gap = largest_gap(curves, groups);
  if (!gap.size) {
    verdict.got = groups.size() < 2 ? fmt::format("{} is the same in every run", claim.across)
                                    : "no two groups have a value at the same place";
    return;
  }
  verdict.passed = claim.wanted.contains(*gap.size);
  verdict.got = bounded_text(*gap.size, claim.wanted);
  if (!claim.along.empty()) verdict.got += fmt::format(" at {} {}", claim.along, number_text(gap.at));
  verdict.got += fmt::format(", between {} = {} and {}", claim.across, names[gap.low], names[gap.high]);
  std::vector<size_t> group_of(rows.size());
  for (size_t g = 0; g < groups.size(); ++g)
    for (const size_t i : groups[g]) group_of[i] = g;
  verdict.interval = interval_text(bootstrap_interval_within(cells, [&](const Indices& sample) {
    std::vector<Indices> drawn(groups.size());
    for (const size_t i : sample) drawn[group_of[i]].push_back(i);
    return largest_gap(curves, drawn).size;
  }));
}

}  // namespace orrery::engine
