#include <algorithm>

#include "cli/text/comparison_text.h"
#include "engine/run/json_write.h"

namespace orrery::cli {
namespace {

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

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

Json value_of(const Feature* feature) {
  if (!feature) return nullptr;
  Json value{{"value", json_real(feature->value)}};
  if (feature->scale == Scale::shares) value["parts"] = json_reals(feature->parts);
  if (!feature->shown.empty()) value["shown"] = feature->shown;
  return value;
}

Json values_of(const std::vector<const Feature*>& features) {
  Json all = Json::array();
  for (const Feature* feature : features) all.push_back(value_of(feature));
  return all;
}

Json curves_of(const ComparedRun& run) {
  Json curves{{"step", Json::array()}};
  const std::vector<std::string> names = {"train/loss", "test/loss", "train/accuracy", "test/accuracy"};
  for (const std::string& name : names) curves[name] = Json::array();
  for (const MetricsRow& row : run.metrics()) {
    curves["step"].push_back(row.step);
    for (const std::string& name : names) {
      Json value = nullptr;
      for (const auto& [known, there] : row.values)
        if (known == name) value = json_real(there);
      curves[name].push_back(std::move(value));
    }
  }
  return curves;
}

Json run_json(const ComparedRun& run, bool with_curves) {
  Json object{{"name", run.name()},
              {"path", run.path()},
              {"task", run.experiment().settings().task.name},
              {"model", run.experiment().settings().model.name},
              {"step", run.step()},
              {"last_step", run.last_step()},
              {"loss", run.experiment().describe().value("loss", "cross_entropy")},
              {"guessing", json_real(run.signature().guessing)}};
  for (const char* name : {"train/loss", "train/accuracy", "test/loss", "test/accuracy"})
    object[name] = json_real(run.metric(name));
  if (with_curves) object["curves"] = curves_of(run);
  return object;
}

Json row_json(const FeatureRow& row) {
  const Feature* any = *std::find_if(row.values.begin(), row.values.end(), [](auto* x) { return x; });
  Json absent = Json::array();
  for (const std::string& why : row.absent) absent.push_back(text_or_null(why));
  return {{"group", row.group},
          {"name", row.name},
          {"question", any->question},
          {"scale", name_of(any->scale)},
          {"values", values_of(row.values)},
          {"nulls", values_of(row.nulls)},
          {"absent", absent},
          {"distance", json_real(row.distance)}};
}

Json sites_json(const ActivationComparison& activations) {
  Json sites = Json::array();
  for (const SiteSimilarity& site : activations.sites)
    sites.push_back({{"site", site.site},
                     {"cka", json_real(site.cka)},
                     {"cka_null", json_real(site.cka_null)},
                     {"dims", {site.dims_a, site.dims_b}},
                     {"angles_degrees", json_reals(site.angles)},
                     {"shared", json_real(site.shared)},
                     {"shared_null", json_real(site.shared_null)}});
  return sites;
}

Json edges_json(const std::vector<EdgeInBoth>& edges) {
  Json all = Json::array();
  for (const EdgeInBoth& edge : edges)
    all.push_back({{"edge", edge.name},
                   {"shares", {json_real(edge.share_a), json_real(edge.share_b)}},
                   {"in_circuit", {edge.in_a, edge.in_b}}});
  return all;
}

Json carried_json(const CarriedOverlap& carried) {
  const CarriedInBoth& both = carried.variables;
  Json rows = Json::array();
  const auto pair_of = [](double a, double b) { return Json{json_real(a), json_real(b)}; };
  for (const auto& [name, a, b] : both.rows)
    rows.push_back({{"hypothesis", name},
                    {"accuracy", pair_of(a.accuracy, b.accuracy)},
                    {"random", pair_of(a.random, b.random)},
                    {"other_functions", pair_of(a.functions, b.functions)},
                    {"other_variable", pair_of(a.variable, b.variable)},
                    {"carried", {a.carried, b.carried}}});
  return {{"probe", carried.probe},
          {"hypotheses", rows},
          {"both", both.both},
          {"only_a", both.only_a},
          {"only_b", both.only_b},
          {"untested", Json::array({both.untested_a, both.untested_b})},
          {"mean_difference", json_real(both.mean)},
          {"largest_difference", json_real(both.largest)},
          {"largest_at", text_or_null(both.largest_at)}};
}

Json pair_json(const ComparedPair& pair) {
  Json object{{"a", pair.a},
              {"b", pair.b},
              {"distance", json_real(pair.features.distance)},
              {"to_random", json_real(pair.to_random)},
              {"n_features", pair.features.n_counted},
              {"n_groups", pair.features.n_groups},
              {"not_comparable", text_or_null(pair.features.why_not)}};
  Json frequencies = Json::array();
  for (const FrequencyOverlap& each : pair.overlaps)
    frequencies.push_back({{"probe", each.probe},
                           {"a", each.in_a},
                           {"b", each.in_b},
                           {"common", each.common},
                           {"by_chance", json_real(each.by_chance)}});
  object["frequencies"] = frequencies;
  Json circuits = Json::array();
  for (const CircuitOverlap& each : pair.circuits)
    circuits.push_back({{"probe", each.probe},
                        {"a", each.edges.in_a},
                        {"b", each.edges.in_b},
                        {"common", each.edges.common},
                        {"by_chance", json_real(each.edges.by_chance)},
                        {"jaccard", json_real(each.edges.jaccard)},
                        {"correlation", json_real(each.edges.correlation)},
                        {"heads_renamed", each.edges.renamed},
                        {"edges", edges_json(each.edges.edges)}});
  object["circuits"] = circuits;
  object["carried"] = Json::array();
  for (const CarriedOverlap& each : pair.carried) object["carried"].push_back(carried_json(each));
  Json features = Json::array();
  for (const FeaturePair& each : pair.features.pairs) {
    const Feature& either = each.a ? *each.a : *each.b;
    features.push_back({{"group", either.group},
                        {"name", either.name},
                        {"a", value_of(each.a)},
                        {"b", value_of(each.b)},
                        {"distance", json_real(each.distance)},
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
  Json object{{"runs", Json::array()},     {"config", Json::array()},
              {"features", Json::array()}, {"pairs", Json::array()},
              {"tree", Json::array()},     {"order", comparison.order},
              {"missing", Json::array()},  {"partly_concluded", Json::array()}};
  for (const auto& run : comparison.runs) object["runs"].push_back(run_json(*run, with_curves));
  for (const auto& [key, values] : config_differences(comparison))
    object["config"].push_back({{"key", key}, {"values", values}});
  for (const FeatureRow& row : feature_rows(comparison)) object["features"].push_back(row_json(row));
  for (const ComparedPair& pair : comparison.pairs) object["pairs"].push_back(pair_json(pair));
  for (const Merge& merge : comparison.tree)
    object["tree"].push_back(
        {{"a", merge.a}, {"b", merge.b}, {"height", json_real(merge.height)}, {"size", merge.size}});
  for (const MissingProbe& probe : comparison.missing)
    object["missing"].push_back({{"probe", probe.plugin}, {"runs", probe.runs}});
  for (size_t i = 0; i < comparison.runs.size(); ++i)
    for (const auto& [label, checkpoints] : comparison.runs[i]->partly_concluded())
      object["partly_concluded"].push_back(
          {{"run", i}, {"probe", label}, {"seen", checkpoints.seen}, {"made", checkpoints.made}});
  return object.dump();
}

}  // namespace orrery::cli
