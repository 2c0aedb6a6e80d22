#include "engine/sweep_report/page_estimates.h"

#include <algorithm>
#include <map>
#include <optional>

#include "engine/run/json_write.h"
#include "engine/sweep_report/group_estimate.h"
#include "engine/sweep_report/survival_curve.h"

namespace orrery::engine {
namespace {

constexpr size_t most_cells = 2500;

Json json_band(const std::optional<Bounds>& band) {
  return band ? Json::array({json_real(band->low), json_real(band->high)}) : Json(nullptr);
}

Json json_group(const GroupEstimate& estimate) {
  return {{"n", estimate.n},
          {"never", estimate.never},
          {"median", json_real(estimate.median.value)},
          {"beyond", estimate.median.beyond},
          {"band", json_band(estimate.median_band)},
          {"mean", json_real(estimate.mean)},
          {"mean_band", json_band(estimate.mean_band)}};
}

// The observations of a reading by the values of one key, or two; those of runs without one are left out.
using Grouped = std::map<std::pair<size_t, size_t>, std::vector<Observation>>;
Grouped grouped(const std::vector<SweepRow>& rows, size_t reading, const SweptKey* key, const SweptKey* by) {
  Grouped groups;
  for (size_t i = 0; i < rows.size(); ++i)
    if (const auto seen = observed(rows[i], reading))
      groups[{key ? key->of_run[i] : 0, by ? by->of_run[i] : 0}].push_back(*seen);
  return groups;
}

Json index_or_null(bool has, size_t index) { return has ? Json(index) : Json(nullptr); }

Json one_estimate(const std::vector<SweepRow>& rows, const std::vector<SweptKey>& keys, size_t reading,
                  std::optional<size_t> key, std::optional<size_t> by) {
  Json groups = Json::array();
  for (const auto& [at, group] :
       grouped(rows, reading, key ? &keys[*key] : nullptr, by ? &keys[*by] : nullptr)) {
    Json made = {{"x", at.first}, {"by", index_or_null(by.has_value(), at.second)}};
    made.update(json_group(estimate_group(group)));
    groups.push_back(std::move(made));
  }
  return {{"reading", reading},
          {"key", index_or_null(key.has_value(), key.value_or(0))},
          {"by", index_or_null(by.has_value(), by.value_or(0))},
          {"groups", std::move(groups)}};
}

bool may_colour(const SweptKey& key) { return !key.is_seed() && key.texts.size() <= most_colours; }

Json survival_group(const SweptKey* key, size_t value, const std::vector<Observation>& group) {
  Json made = {{"value", index_or_null(key != nullptr, value)}, {"n", group.size()}};
  for (const char* list : {"steps", "at_risk", "events", "censored", "shares", "low", "high"})
    made[list] = Json::array();
  size_t never = 0;
  for (const SurvivalStep& step : survival_curve(group)) {
    made["steps"].push_back(step.value);
    made["at_risk"].push_back(step.at_risk);
    made["events"].push_back(step.events);
    made["censored"].push_back(step.censored);
    made["shares"].push_back(step.share);
    made["low"].push_back(step.band ? Json(step.band->low) : Json(nullptr));
    made["high"].push_back(step.band ? Json(step.band->high) : Json(nullptr));
    never += step.censored;
  }
  made["never"] = never;
  return made;
}

struct Cell {
  size_t n = 0, left = 0;
  std::vector<size_t> counts;
};

void count(const SweepRow& row, const std::vector<SweepClass>& classes, Cell& cell) {
  cell.counts.resize(classes.size());
  if (row.status.state != SweptState::done && !row.status.diverged) {
    ++cell.left;
    return;
  }
  ++cell.n;
  for (size_t i = 0; i < classes.size(); ++i) cell.counts[i] += row.name_of_class == classes[i].name;
}

Json json_cell(std::pair<size_t, size_t> at, const Cell& cell) {
  Json low = Json::array(), high = Json::array();
  for (const size_t hits : cell.counts) {
    const Bounds bounds = cell.n > 0 ? wilson_interval(hits, cell.n) : Bounds{0, 1};
    low.push_back(bounds.low);
    high.push_back(bounds.high);
  }
  return {{"x", at.first},          {"y", at.second},        {"n", cell.n},
          {"left", cell.left},      {"counts", cell.counts}, {"low", std::move(low)},
          {"high", std::move(high)}};
}

}  // namespace

Json json_estimates(const SweepPlan& plan, const std::vector<SweepRow>& rows,
                    const std::vector<SweptKey>& keys) {
  Json all = Json::array();
  for (size_t reading = 0; reading < plan.file.readings.size(); ++reading) {
    const auto add = [&](std::optional<size_t> key, bool apart) {
      all.push_back(one_estimate(rows, keys, reading, key, std::nullopt));
      for (size_t by = 0; by < keys.size(); ++by)
        if (apart && by != key && may_colour(keys[by]))
          all.push_back(one_estimate(rows, keys, reading, key, by));
    };
    add(std::nullopt, true);
    for (size_t key = 0; key < keys.size(); ++key) add(key, !keys[key].is_seed());
  }
  return all;
}

Json json_survival(const SweepPlan& plan, const std::vector<SweepRow>& rows,
                   const std::vector<SweptKey>& keys) {
  Json all = Json::array();
  for (size_t reading = 0; reading < plan.file.readings.size(); ++reading) {
    if (plan.file.readings[reading].question.reading.kind != Reading::Kind::first_step) continue;
    const auto add = [&](const SweptKey* key, const Json& index) {
      Json groups = Json::array();
      for (const auto& [at, group] : grouped(rows, reading, key, nullptr))
        groups.push_back(survival_group(key, at.first, group));
      if (!groups.empty())
        all.push_back({{"reading", reading}, {"key", index}, {"groups", std::move(groups)}});
    };
    add(nullptr, nullptr);
    for (size_t key = 0; key < keys.size(); ++key)
      if (may_colour(keys[key])) add(&keys[key], key);
  }
  return all;
}

Json json_grids(const SweepPlan& plan, const std::vector<SweepRow>& rows, const std::vector<SweptKey>& keys) {
  Json all = Json::array();
  for (size_t x = 0; x < keys.size(); ++x)
    for (size_t y = 0; y < keys.size(); ++y) {
      if (x == y || keys[x].is_seed() || keys[y].is_seed()) continue;
      if (keys[x].texts.size() * keys[y].texts.size() > most_cells) continue;
      std::map<std::pair<size_t, size_t>, Cell> cells;
      for (size_t i = 0; i < rows.size(); ++i)
        count(rows[i], plan.file.classes, cells[{keys[x].of_run[i], keys[y].of_run[i]}]);
      Json grid = {{"x", x}, {"y", y}, {"cells", Json::array()}};
      for (const auto& [at, cell] : cells) grid["cells"].push_back(json_cell(at, cell));
      all.push_back(std::move(grid));
    }
  return all;
}

}  // namespace orrery::engine
