#include "engine/compare/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/config/config_keys.h"

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

std::optional<double> distance_to_random(const ComparedRun& a, const ComparedRun& b) {
  double sum = 0;
  int known = 0;
  const SignatureComparison both[] = {compare(a.signature(), b.null()), compare(a.null(), b.signature())};
  for (const SignatureComparison& one : both)
    if (one.distance) {
      sum += *one.distance;
      ++known;
    }
  return known > 0 ? std::optional(sum / known) : std::nullopt;
}

std::string plugin_of(const std::string& question) { return question.substr(0, question.find(' ')); }

std::vector<FrequencyOverlap> overlaps(const ComparedRun& a, const ComparedRun& b) {
  std::vector<FrequencyOverlap> all;
  for (const auto& [question, x] : a.key_frequencies()) {
    const auto found = b.key_frequencies().find(question);
    if (found == b.key_frequencies().end() || found->second.order != x.order) continue;
    const KeyFrequencySet& y = found->second;
    const Overlap both = overlap(x, y);
    all.push_back(
        {plugin_of(question), x.frequencies.size(), y.frequencies.size(), both.common, both.by_chance});
  }
  return all;
}

std::vector<CircuitOverlap> circuits_in_both(const ComparedRun& a, const ComparedRun& b) {
  std::vector<CircuitOverlap> all;
  for (const auto& [question, x] : a.edges()) {
    const auto found = b.edges().find(question);
    if (found == b.edges().end()) continue;
    if (const auto both = edge_overlap(x, found->second)) all.push_back({plugin_of(question), *both});
  }
  return all;
}

std::vector<CarriedOverlap> carried_by_both(const ComparedRun& a, const ComparedRun& b) {
  std::vector<CarriedOverlap> all;
  for (const auto& [question, x] : a.carried()) {
    const auto found = b.carried().find(question);
    if (found == b.carried().end()) continue;
    if (const auto both = carried_in_both(x, found->second)) all.push_back({plugin_of(question), *both});
  }
  return all;
}

void sort_into_tree(Comparison& comparison) {
  const size_t n = comparison.runs.size();
  Distances distances(n, std::vector<double>(n, 0));
  for (const ComparedPair& pair : comparison.pairs)
    distances[pair.a][pair.b] = distances[pair.b][pair.a] =
        pair.features.distance.value_or(std::numeric_limits<double>::quiet_NaN());
  comparison.tree = average_linkage(distances);
  comparison.order = leaf_order(comparison.tree, n);
}

// Tells folders of the same name apart by their paths.
void tell_apart(const ComparedRuns& runs) {
  std::map<std::string, int> times;
  for (const auto& run : runs) ++times[run->name()];
  for (const auto& run : runs)
    if (times[run->name()] > 1) run->rename(run->path());
}

using Flat = std::map<std::string, std::string>;

Flat flat_config(const ComparedRun& run) {
  const json config = json::parse(to_json(run.experiment().settings()));
  Flat all;
  for (const auto& [key, value] : config_keys(config, Sections::network, Lists::by_entry))
    all[key] = value_text(value);
  return all;
}

std::string why_absent(const Signature& signature, const Feature& feature) {
  if (asked_otherwise(signature, feature)) return "other parameters";
  return signature.questions.contains(feature.question) ? "none" : "not measured";
}

// `feature` belongs to the run `own`.
FeatureRow row_of(const Feature& feature, size_t own, const Comparison& comparison) {
  FeatureRow row{feature.group, feature.name, {}, {}, {}, {}};
  const Signature& here = comparison.runs[own]->signature();
  for (size_t i = 0; i < comparison.runs.size(); ++i) {
    const ComparedRun& run = *comparison.runs[i];
    const Feature* there = i == own ? &feature : counterpart(feature, here, run.signature());
    row.values.push_back(there);
    row.nulls.push_back(counterpart(there ? *there : feature, there ? run.signature() : here, run.null()));
    row.absent.push_back(there ? "" : why_absent(run.signature(), feature));
  }
  for (const ComparedPair& pair : comparison.pairs)
    for (const FeaturePair& each : pair.features.pairs)
      if (each.distance &&
          ((each.a && each.a == row.values[pair.a]) || (each.b && each.b == row.values[pair.b])))
        row.distance = std::max(row.distance.value_or(0), *each.distance);
  return row;
}

}  // namespace

const ComparedPair& Comparison::pair(size_t a, size_t b) const {
  return *std::find_if(pairs.begin(), pairs.end(), [&](const ComparedPair& pair) {
    return pair.a == std::min(a, b) && pair.b == std::max(a, b);
  });
}

Comparison compare_runs(ComparedRuns runs, const std::optional<std::vector<std::string>>& hooks,
                        Reporter& reporter) {
  Comparison result;
  result.runs = std::move(runs);
  tell_apart(result.runs);
  const size_t n = result.runs.size();
  const auto progress = reporter.progress(static_cast<int64_t>(n * (n - 1) / 2), "pairs");
  for (size_t a = 0; a < n; ++a)
    for (size_t b = a + 1; b < n; ++b) {
      ComparedRun &x = *result.runs[a], &y = *result.runs[b];
      ComparedPair pair{a,
                        b,
                        compare(x.signature(), y.signature()),
                        distance_to_random(x, y),
                        overlaps(x, y),
                        circuits_in_both(x, y),
                        carried_by_both(x, y),
                        {}};
      if (hooks) pair.activations = compare_activations(x.experiment(), y.experiment(), *hooks);
      result.pairs.push_back(std::move(pair));
      progress->show(static_cast<int64_t>(result.pairs.size()), x.name() + ", " + y.name());
    }
  sort_into_tree(result);
  return result;
}

std::vector<std::pair<std::string, std::vector<std::string>>> config_differences(
    const Comparison& comparison) {
  std::vector<Flat> configs;
  std::set<std::string> keys;
  for (const auto& run : comparison.runs) {
    configs.push_back(flat_config(*run));
    for (const auto& [key, value] : configs.back()) keys.insert(key);
  }
  std::vector<std::pair<std::string, std::vector<std::string>>> differences;
  for (const std::string& key : keys) {
    std::vector<std::string> values;
    for (const Flat& config : configs) values.push_back(config.contains(key) ? config.at(key) : "-");
    if (std::any_of(values.begin(), values.end(), [&](auto& value) { return value != values[0]; }))
      differences.emplace_back(key, std::move(values));
  }
  return differences;
}

std::vector<FeatureRow> feature_rows(const Comparison& comparison) {
  std::vector<FeatureRow> rows;
  std::set<const Feature*> shown;
  std::vector<std::string> groups;
  for (size_t own = 0; own < comparison.runs.size(); ++own)
    for (const Feature& feature : comparison.runs[own]->signature().features) {
      if (shown.contains(&feature)) continue;
      rows.push_back(row_of(feature, own, comparison));
      shown.insert(rows.back().values.begin(), rows.back().values.end());
      if (std::find(groups.begin(), groups.end(), feature.group) == groups.end())
        groups.push_back(feature.group);
    }
  const auto rank = [&](const FeatureRow& row) {
    const auto group = std::find(groups.begin(), groups.end(), row.group) - groups.begin();
    return std::pair(group, std::count(row.values.begin(), row.values.end(), nullptr));
  };
  std::stable_sort(rows.begin(), rows.end(), [&](auto& x, auto& y) { return rank(x) < rank(y); });
  return rows;
}

}  // namespace orrery::engine
