#include "engine/sweep/sweep_point.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>

namespace orrery::engine {
namespace {

constexpr size_t most_runs = 100000;

using Keys = std::vector<Override>;

void refuse_size(const SweepFile& sweep, size_t points) {
  const size_t seeds = std::max<size_t>(sweep.seeds.size(), 1);
  if (points <= most_runs / seeds) return;
  throw UsageError(fmt::format("{}: more than {} runs", sweep.origin, most_runs),
                   "split it into several sweeps");
}

std::vector<Keys> product(const SweepFile& sweep) {
  std::vector<Keys> points = {{}};
  for (const SweepAxis& axis : sweep.axes) {
    refuse_size(sweep, points.size() * axis.size());
    std::vector<Keys> longer;
    for (const Keys& point : points)
      for (const Keys& entry : axis) {
        longer.push_back(point);
        longer.back().insert(longer.back().end(), entry.begin(), entry.end());
      }
    points = std::move(longer);
  }
  return points;
}

void exclude(const SweepFile& sweep, std::vector<Keys>& points) {
  std::vector<bool> out(points.size(), false);
  for (const SweepPart& part : sweep.excluded) {
    bool any = false;
    for (size_t i = 0; i < points.size(); ++i)
      if (part.holds(points[i])) any = out[i] = true;
    if (!any)
      throw UsageError(part.place + ": this [[exclude]] is of no point of the grid",
                       "its keys and values must be some of those in [grid] and [[zip]]");
  }
  size_t next = 0;
  std::erase_if(points, [&](const Keys&) { return out[next++]; });
}

}  // namespace

std::vector<Override> SweepPoint::overrides(const SweepFile& sweep) const {
  Keys all = sweep.kept;
  all.insert(all.end(), sweep.fixed.begin(), sweep.fixed.end());
  all.insert(all.end(), keys.begin(), keys.end());
  if (seed)
    for (const std::string& key : sweep.seeds_of) all.push_back({key, *seed, sweep.seeds_place});
  return all;
}

std::vector<Override> SweepPoint::coordinates() const {
  Keys all = keys;
  if (seed) all.push_back({"seed", *seed, ""});
  return all;
}

std::string point_text(const SweepPoint& point) {
  std::vector<std::string> parts;
  for (const Override& each : point.keys)
    parts.push_back(fmt::format("{} = {}", each.key, orrery::to_string(each.value)));
  if (point.seed) parts.push_back(fmt::format("seed {}", *point.seed));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<SweepPoint> expand(const SweepFile& sweep) {
  std::vector<Keys> points;
  if (!sweep.axes.empty() || sweep.points.empty()) points = product(sweep);
  exclude(sweep, points);
  points.insert(points.end(), sweep.points.begin(), sweep.points.end());
  refuse_size(sweep, points.size());
  if (points.empty()) throw UsageError(sweep.origin + ": every point of the grid is excluded");
  std::vector<SweepPoint> all;
  for (const Keys& point : points) {
    if (sweep.seeds.empty()) all.push_back({point, std::nullopt});
    for (const int64_t seed : sweep.seeds) all.push_back({point, seed});
  }
  return all;
}

}  // namespace orrery::engine
