#include "cli/text/json_lines.h"

#include <iostream>

#include "cli/text/shown.h"

namespace orrery::cli {

void print_json(const Json& object) {
  std::cout << object.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

Json metrics_of(const std::string& run, const MetricsRow& row) {
  Json metrics = Json::object();
  for (const auto& [name, value] : row.values) metrics[name] = json_real(value);
  return {{"run", run}, {"step", row.step}, {"metrics", std::move(metrics)}};
}

namespace {

// Of a probe that the session did not ask: null where unknown.
Json earlier_json(const RunOverview& seen, const ProbeOverview& probe, Json headlines) {
  std::optional<int64_t> step;
  if (probe.last)
    step = probe.last->step;
  else if (probe.conclusion)
    step = probe.conclusion->until;
  const auto session = seen.info && step ? session_of(*seen.info, *step) : std::nullopt;
  return {{"step", step ? Json(*step) : Json(nullptr)},
          {"session", session ? Json(*session) : Json(nullptr)},
          {"headlines", std::move(headlines)}};
}

}  // namespace

Json training_json(const RunOverview& seen, const TrainedRun& trained) {
  Json metrics = Json::object(), probes = Json::object(), earlier = Json::object(), failed = Json::array();
  for (const Curve& curve : seen.metrics) metrics[curve.name] = json_real(curve.values.back());
  for (const ProbeOverview& probe : seen.probes) {
    Json headlines = Json::object();
    for (const Curve& curve : probe.headlines) headlines[curve.name] = json_real(curve.values.back());
    if (!probe.configured)
      earlier[probe.label] = earlier_json(seen, probe, std::move(headlines));
    else if (!headlines.empty())
      probes[probe.label] = std::move(headlines);
  }
  for (const ProbeTally& tally : trained.failed_probes)
    failed.push_back({{"probe", tally.label},
                      {"failed", tally.failed},
                      {"asked", tally.asked},
                      {"error", shortened(tally.first_error)}});
  return {{"run", seen.root.string()},
          {"ended", to_string(trained.ending)},
          {"step", trained.step},
          {"steps", seen.info ? Json(seen.info->steps()) : Json(nullptr)},
          {"metrics", std::move(metrics)},
          {"probes", std::move(probes)},
          {"earlier_probes", std::move(earlier)},
          {"failed_probes", std::move(failed)}};
}

}  // namespace orrery::cli
