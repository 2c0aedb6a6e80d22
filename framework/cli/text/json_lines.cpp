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

Json training_json(const RunOverview& seen, const TrainedRun& trained) {
  Json metrics = Json::object(), probes = Json::object(), failed = Json::array();
  for (const Curve& curve : seen.metrics) metrics[curve.name] = json_real(curve.values.back());
  for (const ProbeOverview& probe : seen.probes)
    for (const Curve& curve : probe.headlines)
      probes[probe.label][curve.name] = json_real(curve.values.back());
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
          {"failed_probes", std::move(failed)}};
}

}  // namespace orrery::cli
