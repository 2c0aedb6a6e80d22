#include "engine/verify/reading.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/run/curves.h"

namespace orrery::engine {
namespace {

using Kind = Reading::Kind;
using Points = std::vector<Point>;

Evaluated failure(std::string got) {
  return {false, -std::numeric_limits<double>::infinity(), std::move(got), {}, {}};
}

// Four digits, or all of them if four would round to the other side of the bound.
std::string number_text(double value, const Interval& wanted) {
  const std::string text = fmt::format("{:.4g}", value);
  const bool same = wanted.contains(std::strtod(text.c_str(), nullptr)) == wanted.contains(value);
  return same ? text : fmt::format("{}", value);
}

std::string at_step(const Point& point, const Interval& wanted) {
  return fmt::format("{} at step {}", number_text(point.value, wanted), point.step);
}

Evaluated value_answer(double value, const Interval& wanted, std::string got) {
  return {wanted.contains(value), wanted.margin(value), std::move(got), value, {}};
}

Evaluated at_point(const Point& point, const Interval& wanted, const std::string& prefix = "") {
  return value_answer(point.value, wanted, prefix + at_step(point, wanted));
}

Evaluated step_answer(int64_t step, const Interval& wanted, const std::string& why) {
  return value_answer(static_cast<double>(step), wanted, fmt::format("step {} ({})", step, why));
}

bool by_value(const Point& a, const Point& b) { return a.value < b.value; }
const Point& lowest(const Points& points) {
  return *std::min_element(points.begin(), points.end(), by_value);
}
// The first of several, like lowest().
const Point& highest(const Points& points) {
  return *std::max_element(points.begin(), points.end(), by_value);
}

// Orders from worst to best, first by whether the bound is met: an open bound can be missed by a margin of 0.
std::pair<bool, double> quality(const Point& point, const Interval& wanted) {
  return {wanted.contains(point.value), wanted.margin(point.value)};
}

Evaluated every(const Points& points, const Interval& wanted) {
  const auto worst = std::min_element(points.begin(), points.end(), [&](auto& a, auto& b) {
    return quality(a, wanted) < quality(b, wanted);
  });
  return at_point(*worst, wanted, points.size() > 1 ? "at worst " : "");
}

Evaluated any(const Points& points, const Interval& wanted) {
  const auto best = std::max_element(points.begin(), points.end(), [&](auto& a, auto& b) {
    return quality(a, wanted) < quality(b, wanted);
  });
  return at_point(*best, wanted, points.size() > 1 ? "at best " : "");
}

Evaluated mean(const Points& points, const Interval& wanted) {
  double sum = 0;
  for (const Point& point : points) sum += point.value;
  const double mean = sum / static_cast<double>(points.size());
  return value_answer(mean, wanted,
                      fmt::format("{} over {} rows, steps {} to {}", number_text(mean, wanted), points.size(),
                                  points.front().step, points.back().step));
}

enum class Direction { fall, rise };

// The signed distance from `from` to `to` in this direction.
double distance(const Point& from, const Point& to, Direction direction) {
  return direction == Direction::rise ? to.value - from.value : from.value - to.value;
}

// The largest change from a row to any later one.
Evaluated change(const Points& points, const Interval& wanted, Direction direction) {
  Point start = points.front(), best_start = start, best_end = points[1];
  for (size_t i = 1; i < points.size(); ++i) {
    if (distance(start, points[i], direction) > distance(best_start, best_end, direction)) {
      best_start = start;
      best_end = points[i];
    }
    if (distance(start, points[i], direction) < 0) start = points[i];
  }
  const double size = distance(best_start, best_end, direction);
  return value_answer(
      size, wanted,
      fmt::format("{}, from {:.4g} at step {} to {:.4g} at step {}", number_text(size, wanted),
                  best_start.value, best_start.step, best_end.value, best_end.step));
}

// The end of the interval in which the metric changed most per step.
Evaluated steepest(const Points& points, const Interval& wanted, Direction direction) {
  size_t best = 0;
  double most = 0;
  for (size_t i = 1; i < points.size(); ++i) {
    const double slope = distance(points[i - 1], points[i], direction) /
                         static_cast<double>(points[i].step - points[i - 1].step);
    if (slope > most) {
      most = slope;
      best = i;
    }
  }
  if (best == 0)
    return failure(
        fmt::format("never {} from one row to the next", direction == Direction::rise ? "rises" : "falls"));
  return step_answer(points[best].step, wanted,
                     fmt::format("from {:.4g} to {:.4g} since step {}", points[best - 1].value,
                                 points[best].value, points[best - 1].step));
}

Evaluated first_step(const Points& points, const Interval& threshold, const Interval& wanted) {
  const auto found = std::find_if(points.begin(), points.end(),
                                  [&](const Point& point) { return threshold.contains(point.value); });
  if (found == points.end()) {
    Evaluated never = failure(fmt::format("at no step; {}", any(points, threshold).got));
    never.not_until = points.back().step;
    return never;
  }
  return step_answer(found->step, wanted, number_text(found->value, threshold));
}

bool needs_two_rows(Kind kind) {
  return kind == Kind::fall || kind == Kind::rise || kind == Kind::step_of_fall || kind == Kind::step_of_rise;
}

Evaluated of_rows(const Reading& reading, const Points& points, const Interval& wanted) {
  switch (reading.kind) {
    case Kind::every:
      return every(points, wanted);
    case Kind::any:
      return any(points, wanted);
    case Kind::first:
      return at_point(points.front(), wanted);
    case Kind::last:
      return at_point(points.back(), wanted);
    case Kind::max:
      return at_point(highest(points), wanted);
    case Kind::min:
      return at_point(lowest(points), wanted);
    case Kind::mean:
      return mean(points, wanted);
    case Kind::fall:
      return change(points, wanted, Direction::fall);
    case Kind::rise:
      return change(points, wanted, Direction::rise);
    case Kind::first_step:
      return first_step(points, reading.threshold, wanted);
    case Kind::step_of_max:
      return step_answer(highest(points).step, wanted, fmt::format("{:.4g}", highest(points).value));
    case Kind::step_of_min:
      return step_answer(lowest(points).step, wanted, fmt::format("{:.4g}", lowest(points).value));
    case Kind::step_of_fall:
      return steepest(points, wanted, Direction::fall);
    case Kind::step_of_rise:
      return steepest(points, wanted, Direction::rise);
  }
  return failure("an unknown statistic");
}

bool is_in(const RowRange& rows, int64_t step, const Series& series) {
  return rows.end ? step == series.steps.back() : rows.steps.contains(static_cast<double>(step));
}

// Why `rows` selects no row of the series' file, or "".
std::string no_rows(const Expectation& e, const Series& series) {
  const auto& steps = series.steps;
  if (std::any_of(steps.begin(), steps.end(), [&](int64_t s) { return is_in(e.rows, s, series); })) return "";
  if (!e.rows.single())
    return fmt::format("no row with {}; there are steps {} to {}", e.when, steps.front(), steps.back());
  const auto after = std::upper_bound(steps.begin(), steps.end(), static_cast<int64_t>(e.rows.steps.low));
  if (after == steps.begin()) return fmt::format("no row of that step; the first is {}", steps.front());
  if (after == steps.end()) return fmt::format("no row of that step; the last is {}", steps.back());
  return fmt::format("no row of that step; the nearest are {} and {}", *(after - 1), *after);
}

Points select(const RowRange& rows, const Series& series) {
  Points points;
  for (const Point& point : series.points)
    if (is_in(rows, point.step, series)) points.push_back(point);
  return points;
}

// The first of the selected rows that lacks the metric, or -1.
int64_t first_gap(const RowRange& rows, const Series& series, const Points& points) {
  size_t have = 0;
  for (const int64_t step : series.steps) {
    if (!is_in(rows, step, series)) continue;
    if (have == points.size() || points[have].step != step) return step;
    ++have;
  }
  return -1;
}

// The value that makes the statistic undefined, or "".
std::string unreadable(Kind kind, const Points& points) {
  for (const Point& point : points) {
    if (std::isnan(point.value)) return fmt::format("NaN at step {}", point.step);
    // Infinities have no difference and no mean.
    if (std::isinf(point.value) && (needs_two_rows(kind) || kind == Kind::mean))
      return fmt::format("{}Infinity at step {}", point.value < 0 ? "-" : "", point.step);
  }
  return "";
}

// The nulls and conclusions of the probes, at the last step of the run.
void add_run_level(const RunDirectory& run, std::vector<Series>& all) {
  int64_t last = 0;
  for (const Series& series : all) last = std::max(last, series.steps.empty() ? 0 : series.steps.back());
  for (const std::string& label : run.probe_labels())
    for (const RunLevelResult which : {RunLevelResult::null, RunLevelResult::conclusion})
      if (const auto result = run.read_run_level(label, which, RunDirectory::ProbeData::leave_out))
        for (const auto& [scalar, value] : result->record.scalars)
          all.push_back({fmt::format("probe/{}/{}/{}", label, to_string(which), scalar),
                         {{last, value}},
                         {last},
                         true});
}

std::optional<double> value_at(const Series& series, int64_t step) {
  if (series.of_run) return series.points.front().value;
  const auto found = std::lower_bound(series.points.begin(), series.points.end(), step,
                                      [](const Point& point, int64_t wanted) { return point.step < wanted; });
  if (found == series.points.end() || found->step != step) return std::nullopt;
  return found->value;
}

}  // namespace

Evaluated answer(const Expectation& e, const Series& series) {
  if (const std::string none = no_rows(e, series); !none.empty()) return failure(none);
  const Points points = select(e.rows, series);
  const int64_t gap = first_gap(e.rows, series, points);
  if (gap >= 0 && (points.empty() || e.reading.kind == Kind::every))
    return failure(fmt::format("not there at step {}", gap));
  if (const std::string bad = unreadable(e.reading.kind, points); !bad.empty()) return failure(bad);
  if (needs_two_rows(e.reading.kind) && points.size() < 2)
    return failure(fmt::format("only one row, of step {}", points.front().step));
  return of_rows(e.reading, points, e.wanted);
}

std::vector<Series> all_series(const RunDirectory& run, bool with_probes) {
  std::vector<Series> all;
  for (const CurveReader& file : read_curves(run, with_probes)) {
    const std::vector<int64_t> steps = file.steps();
    for (const Curve& curve : file.curves()) {
      Series series{curve.name, {}, steps};
      for (size_t i = 0; i < curve.steps.size(); ++i)
        series.points.push_back({curve.steps[i], curve.values[i]});
      all.push_back(std::move(series));
    }
  }
  if (with_probes) add_run_level(run, all);
  return all;
}

const Series* find_series(const std::vector<Series>& all, const std::string& metric) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Series& series) { return series.name == metric; });
  return found == all.end() ? nullptr : &*found;
}

std::string no_such_metric(const std::vector<Series>& all, const std::string& metric) {
  std::vector<std::string> names;
  for (const Series& series : all) names.push_back(series.name);
  return "no such metric" + did_you_mean(metric, names);
}

std::optional<Series> asked_series(const Expectation& expectation, const Series& series,
                                   const std::vector<Series>& all, std::string& why) {
  if (expectation.minus.empty()) return series;
  const Series* other = find_series(all, expectation.minus);
  if (!other) {
    why = fmt::format("{}: {}", expectation.minus, no_such_metric(all, expectation.minus));
    return std::nullopt;
  }
  // A number of the whole run stands beside every row.
  const Series& rows = series.of_run ? *other : series;
  Series made{series.name, {}, rows.steps, series.of_run && other->of_run};
  for (const Point& row : rows.points)
    if (const auto left = value_at(series, row.step), right = value_at(*other, row.step); left && right)
      made.points.push_back({row.step, *left - *right});
  if (!made.points.empty()) return made;
  why = fmt::format("{} and {} have no step in common", series.name, expectation.minus);
  return std::nullopt;
}

bool may_be_of_probe(const Expectation& expectation) {
  return may_be_of_probe(expectation.metric) ||
         (!expectation.minus.empty() && may_be_of_probe(expectation.minus));
}

bool may_be_of_probe(const std::string& metric) {
  const std::string prefix = "probe/";
  return prefix.starts_with(metric.substr(0, std::min(metric.find('*'), prefix.size())));
}

}  // namespace orrery::engine
