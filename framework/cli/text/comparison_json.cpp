#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/text/comparison_text.h"

namespace orrery::cli {
namespace {

using json = nlohmann::ordered_json;

json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }
json number(const std::optional<double>& value) { return value ? number(*value) : json(nullptr); }
json text_or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

const char* name_of(Scale scale) {
  switch (scale) {
    case Scale::share:
      return "share";
    case Scale::loss:
      return "loss";
    case Scale::shares:
      return "shares";
    case Scale::none:
      return "none";
  }
  return "none";
}

json value_of(const Feature* feature) {
  if (!feature) return nullptr;
  json value{{"value", number(feature->value)}};
  if (feature->scale == Scale::shares) value["parts"] = feature->parts;
  if (!feature->shown.empty()) value["shown"] = feature->shown;
  return value;
}

json values_of(const std::vector<const Feature*>& features) {
  json all = json::array();
  for (const Feature* feature : features) all.push_back(value_of(feature));
  return all;
}

json curves_of(const ComparedRun& run) {
  json curves{{"step", json::array()}};
  const std::vector<std::string> names = {"train/loss", "test/loss", "train/accuracy", "test/accuracy"};
  for (const std::string& name : names) curves[name] = json::array();
  for (const MetricsRow& row : run.metrics()) {
    curves["step"].push_back(row.step);
    for (const std::string& name : names) {
      json value = nullptr;
      for (const auto& [known, there] : row.values)
        if (known == name) value = number(there);
      curves[name].push_back(std::move(value));
    }
  }
  return curves;
}

json run_json(const ComparedRun& run, bool with_curves) {
  json object{{"name", run.name()},
              {"path", run.path()},
              {"task", run.experiment().settings().task.name},
              {"model", run.experiment().settings().model.name},
              {"step", run.step()},
              {"last_step", run.last_step()},
              {"guessing", run.signature().guessing}};
  for (const char* name : {"train/loss", "train/accuracy", "test/loss", "test/accuracy"})
    object[name] = number(run.metric(name));
  if (with_curves) object["curves"] = curves_of(run);
  return object;
}

json row_json(const FeatureRow& row) {
  const Feature* any = *std::find_if(row.values.begin(), row.values.end(), [](auto* x) { return x; });
  json absent = json::array();
  for (const std::string& why : row.absent) absent.push_back(text_or_null(why));
  return {{"group", row.group},
          {"name", row.name},
          {"question", any->question},
          {"scale", name_of(any->scale)},
          {"values", values_of(row.values)},
          {"nulls", values_of(row.nulls)},
          {"absent", absent},
          {"distance", number(row.distance)}};
}

json sites_json(const ActivationComparison& activations) {
  json sites = json::array();
  for (const SiteSimilarity& site : activations.sites)
    sites.push_back({{"site", site.site},
                     {"cka", number(site.cka)},
                     {"cka_null", number(site.cka_null)},
                     {"dims", {site.dims_a, site.dims_b}},
                     {"angles_degrees", site.angles},
                     {"shared", number(site.shared)},
                     {"shared_null", number(site.shared_null)}});
  return sites;
}

json pair_json(const ComparedPair& pair) {
  json object{{"a", pair.a},
              {"b", pair.b},
              {"distance", number(pair.features.distance)},
              {"to_random", number(pair.to_random)},
              {"n_features", pair.features.n_counted},
              {"n_groups", pair.features.n_groups},
              {"not_comparable", text_or_null(pair.features.why_not)}};
  json frequencies = json::array();
  for (const FrequencyOverlap& each : pair.overlaps)
    frequencies.push_back({{"probe", each.probe},
                           {"a", each.in_a},
                           {"b", each.in_b},
                           {"common", each.common},
                           {"by_chance", each.by_chance}});
  object["frequencies"] = frequencies;
  json features = json::array();
  for (const FeaturePair& each : pair.features.pairs) {
    const Feature& either = each.a ? *each.a : *each.b;
    features.push_back({{"group", either.group},
                        {"name", either.name},
                        {"a", value_of(each.a)},
                        {"b", value_of(each.b)},
                        {"distance", number(each.distance)},
                        {"why_not", text_or_null(each.why_not)}});
  }
  object["features"] = features;
  if (pair.activations)
    object["activations"] = {{"inputs", text_or_null(pair.activations->inputs)},
                             {"why_not", text_or_null(pair.activations->why_not)},
                             {"sites", sites_json(*pair.activations)}};
  return object;
}

}  // namespace

std::string comparison_json(const Comparison& comparison, bool with_curves) {
  json object{{"runs", json::array()},   {"config", json::array()}, {"features", json::array()},
              {"pairs", json::array()},  {"tree", json::array()},   {"order", comparison.order},
              {"missing", json::array()}};
  for (const auto& run : comparison.runs) object["runs"].push_back(run_json(*run, with_curves));
  for (const auto& [key, values] : config_differences(comparison))
    object["config"].push_back({{"key", key}, {"values", values}});
  for (const FeatureRow& row : feature_rows(comparison)) object["features"].push_back(row_json(row));
  for (const ComparedPair& pair : comparison.pairs) object["pairs"].push_back(pair_json(pair));
  for (const Merge& merge : comparison.tree)
    object["tree"].push_back(
        {{"a", merge.a}, {"b", merge.b}, {"height", merge.height}, {"size", merge.size}});
  for (const MissingProbe& probe : comparison.missing)
    object["missing"].push_back({{"probe", probe.plugin}, {"runs", probe.runs}});
  return object.dump();
}

}  // namespace orrery::cli
