#include "engine/sweep/sweep_point.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <utility>

namespace orrery::engine {
namespace {

constexpr size_t most_runs = 100000;

using Keys = std::vector<Override>;

void refuse_size(const SweepFile& sweep, size_t points, size_t seeds) {
  if (points <= most_runs / std::max<size_t>(seeds, 1)) return;
  throw UsageError(fmt::format("{}: more than {} runs", sweep.origin, most_runs),
                   "split it into several sweeps");
}

std::vector<Keys> product(const SweepFile& sweep, const std::vector<SweepAxis>& axes) {
  std::vector<Keys> points = {{}};
  for (const SweepAxis& axis : axes) {
    refuse_size(sweep, points.size() * axis.size(), sweep.seeds.size());
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

void exclude(const std::vector<SweepPart>& excluded, std::vector<Keys>& points) {
  std::vector<bool> out(points.size(), false);
  for (const SweepPart& part : excluded) {
    if (points.empty() || !is_written(part, points.front())) continue;
    bool any = false;
    for (size_t i = 0; i < points.size(); ++i)
      if (part.holds(points[i])) any = out[i] = true;
    if (!any)
      throw UsageError(part.place + ": this [[exclude]] is of no point of the grid",
                       "its keys and values must be those of some points");
  }
  size_t next = 0;
  std::erase_if(points, [&](const Keys&) { return out[next++]; });
}

// The points of a grid, with every one of `seeds`.
std::vector<SweepPoint> points_of(const SweepFile& sweep, const SweepGrid& grid, const std::string& stage,
                                  const std::vector<std::optional<int64_t>>& seeds) {
  std::vector<Keys> points;
  if (!grid.axes.empty() || grid.points.empty()) points = product(sweep, grid.axes);
  exclude(grid.excluded, points);
  refuse_size(sweep, points.size() + grid.points.size(), seeds.size());
  if (points.empty() && grid.points.empty())
    throw UsageError(sweep.origin + ": every point of the grid is excluded");
  std::vector<SweepPoint> all;
  for (const auto& [some, of_grid] :
       {std::pair(&std::as_const(points), true), std::pair(&grid.points, false)})
    for (const Keys& point : *some)
      for (const std::optional<int64_t> seed : seeds) all.push_back({point, seed, stage, of_grid});
  return all;
}

std::vector<std::optional<int64_t>> seeds_of(const SweepFile& sweep) {
  if (sweep.seeds.empty()) return {std::nullopt};
  return {sweep.seeds.begin(), sweep.seeds.end()};
}

void append(Keys& all, const Keys& more) { all.insert(all.end(), more.begin(), more.end()); }

// A run has the keys of the one that it starts from: another value would leave no doubt, but two columns.
void refuse_key_of_parent(const SweepStage& stage, const SweepPoint& parent) {
  const auto refuse_if = [&](const Override& each) {
    for (const Override& had : parent.keys)
      if (had.key == each.key)
        throw UsageError(fmt::format("{}: {}: the runs that stage {} starts from differ in it", each.place,
                                     each.key, stage.name),
                         "its runs have the same value as those they start from; leave it out here");
  };
  for (const Override& each : stage.fixed) refuse_if(each);
  for (const SweepAxis& axis : stage.grid.axes)
    for (const Override& each : axis.front()) refuse_if(each);
  for (const Keys& point : stage.grid.points)
    for (const Override& each : point) refuse_if(each);
}

}  // namespace

bool is_written(const SweepPart& part, const std::vector<Override>& keys) {
  return std::all_of(part.wanted.begin(), part.wanted.end(), [&](const SweepPart::Wanted& each) {
    return std::any_of(keys.begin(), keys.end(), [&](const Override& has) { return has.key == each.key; });
  });
}

std::vector<Override> SweepPoint::overrides(const SweepFile& sweep) const {
  const SweepStage* own = sweep.find_stage(stage);
  Keys all = own ? own->kept : sweep.kept;
  append(all, sweep.fixed);
  if (own) append(all, own->fixed);
  append(all, keys);
  if (seed)
    for (const std::string& key : sweep.seeds_of) all.push_back({key, *seed, sweep.seeds_place});
  return all;
}

std::vector<Override> SweepPoint::coordinates() const {
  Keys all;
  if (!stage.empty()) all.push_back({"stage", stage, ""});
  append(all, keys);
  if (seed) all.push_back({"seed", *seed, ""});
  return all;
}

std::string point_text(const SweepPoint& point) {
  std::vector<std::string> parts;
  if (!point.stage.empty()) parts.push_back("stage " + point.stage);
  for (const Override& each : point.keys)
    parts.push_back(fmt::format("{} = {}", each.key, orrery::to_string(each.value)));
  if (point.seed) parts.push_back(fmt::format("seed {}", *point.seed));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<SweepPoint> expand(const SweepFile& sweep) {
  return points_of(sweep, sweep.grid, "", seeds_of(sweep));
}

std::vector<SweepPoint> expand(const SweepFile& sweep, const SweepStage& stage) {
  SweepGrid both = sweep.grid;
  both.axes.insert(both.axes.end(), stage.grid.axes.begin(), stage.grid.axes.end());
  both.excluded.insert(both.excluded.end(), stage.grid.excluded.begin(), stage.grid.excluded.end());
  both.points.insert(both.points.end(), stage.grid.points.begin(), stage.grid.points.end());
  return points_of(sweep, both, stage.name, seeds_of(sweep));
}

std::vector<SweepPoint> expand(const SweepFile& sweep, const SweepStage& stage, const SweepPoint& parent) {
  refuse_key_of_parent(stage, parent);
  std::vector<SweepPoint> all = points_of(sweep, stage.grid, stage.name, {parent.seed});
  for (SweepPoint& point : all) point.keys.insert(point.keys.begin(), parent.keys.begin(), parent.keys.end());
  return all;
}

}  // namespace orrery::engine
