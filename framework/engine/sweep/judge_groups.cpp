// Claims that compare groups of runs, or readings with each other.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/sweep/bootstrap.h"
#include "engine/sweep/judge_parts.h"

namespace orrery::engine {
namespace {

using Indices = std::vector<size_t>;

std::optional<double> unless_nan(double value) {
  return std::isnan(value) ? std::nullopt : std::optional(value);
}

std::string median_text(double value) { return std::isinf(value) ? "never" : number_text(value); }

std::string text_at(const SweepRow& row, const std::string& key) {
  for (const Override& each : row.run->point.coordinates())
    if (each.key == key) return orrery::to_string(each.value);
  return "";
}

// A curve: its value at each x.
using CurveOfRun = std::map<double, double>;

// "NaN at step 40 in run 60303ae22b99" if a curve has no number there: it would be less and more than none.
std::string not_a_number(const std::vector<CurveOfRun>& curves, const ChosenRows& rows) {
  for (size_t i = 0; i < curves.size(); ++i)
    for (const auto& [x, y] : curves[i])
      if (!std::isfinite(y))
        return fmt::format("{} at step {:.0f} in run {}",
                           std::isnan(y) ? "NaN"
                           : y > 0       ? "Infinity"
                                         : "-Infinity",
                           x, rows[i]->run->id);
  return "";
}

double last_of(const CurveOfRun& curve) { return curve.empty() ? -infinity : curve.rbegin()->first; }

// Leaves of each curve what all of its group have: where some have ended, the mean of the others is that of
// other runs.
void keep_shared(std::vector<CurveOfRun>& curves, const std::vector<Indices>& groups) {
  for (const Indices& group : groups) {
    std::map<double, size_t> runs_at;
    for (const size_t i : group)
      for (const auto& [x, y] : curves[i]) ++runs_at[x];
    for (const size_t i : group)
      std::erase_if(curves[i], [&](const auto& point) { return runs_at[point.first] < group.size(); });
  }
}

// " (compared up to step 80: after it some runs have ended)", or "" if no curve goes on beyond the last step
// that two groups share.
std::string compared_until(const std::vector<CurveOfRun>& shared, const std::vector<Indices>& groups,
                           double longest) {
  std::vector<double> ends;
  for (const Indices& group : groups) ends.push_back(last_of(shared[group.front()]));
  std::sort(ends.rbegin(), ends.rend());
  return ends[1] >= longest
             ? ""
             : fmt::format(" (compared up to step {:.0f}: after it some runs have ended)", ends[1]);
}

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

// What never came by a step is beyond that step. Nothing if that does not tell.
std::optional<bool> is_below(const ReadingValue& a, const ReadingValue& b) {
  if (a.value && b.value) return *a.value < *b.value;
  if (a.value && *a.value <= static_cast<double>(*b.censored_at)) return true;
  if (b.value && *b.value <= static_cast<double>(*a.censored_at)) return false;
  return std::nullopt;
}

}  // namespace

void judge_spread(const SweepClaim& claim, const ChosenRows& rows, size_t reading, SweepVerdict& verdict) {
  if (rows.size() < 2) {
    verdict.got = "one run has no spread";
    return;
  }
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

void judge_below(const SweepClaim& claim, const ChosenRows& rows, size_t reading, size_t other,
                 SweepVerdict& verdict) {
  size_t hits = 0, neither = 0, unknown = 0;
  for (const SweepRow* row : rows) {
    const ReadingValue &a = row->readings[reading], &b = row->readings[other];
    if (const auto below = is_below(a, b)) {
      hits += *below;
    } else {
      ++unknown;
      neither += !a.value && !b.value;
    }
  }
  const auto share_of = [&](size_t n) { return static_cast<double>(n) / static_cast<double>(rows.size()); };
  // What is not known may be so or not: the claim is judged if that makes no difference.
  size_t held = 0;
  for (size_t n = hits; n <= hits + unknown; ++n) held += claim.wanted.contains(share_of(n));
  verdict.passed = held == unknown + 1;
  const bool decided = verdict.passed || held == 0;
  const std::string missing =
      neither == unknown
          ? fmt::format("in {} of {} runs neither came", unknown, rows.size())
          : fmt::format("in {} of {} runs one had not come when the run ended", unknown, rows.size());
  if (decided)
    verdict.got = fmt::format("{} ({} of {}){}", bounded_text(share_of(hits), claim.wanted), hits,
                              rows.size(), unknown > 0 ? "; not known: " + missing : "");
  else
    verdict.got = fmt::format("not known: {}; it is below in {}", missing, hits);
  verdict.interval = fmt::format("{:.3g} to {:.3g}", wilson_interval(hits, rows.size()).low,
                                 wilson_interval(hits + unknown, rows.size()).high);
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
  std::vector<CurveOfRun> curves = curves_to_compare(claim, rows, reading, verdict.got);
  if (verdict.got.empty() && claim.of_curves()) verdict.got = not_a_number(curves, rows);
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
  double longest = -infinity;
  for (const CurveOfRun& curve : curves) longest = std::max(longest, last_of(curve));
  if (claim.of_curves()) keep_shared(curves, groups);
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
  if (claim.of_curves()) verdict.got += compared_until(curves, groups, longest);
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
