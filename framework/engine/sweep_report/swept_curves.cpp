#include "engine/sweep_report/swept_curves.h"

#include <orrery/error.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/report/thin.h"
#include "engine/run/curves.h"
#include "engine/verify/reading.h"

namespace orrery::engine {
namespace {

constexpr size_t all_points = 400'000, least_points = 40, greatest_points = 400;

std::vector<Curve> curves_of_run(const SweepPlan& plan, const SweptRun& run,
                                 const std::set<std::string>& of_probes) {
  const auto folder = RunDirectory::open(plan.run_folder(run), RunDirectory::Access::read);
  std::vector<Curve> chosen;
  for (Curve& curve : all_curves(read_curves(folder, !of_probes.empty())))
    if (!curve.name.starts_with("probe/") || of_probes.count(curve.name)) chosen.push_back(std::move(curve));
  return chosen;
}

}  // namespace

size_t points_per_curve(size_t curves) {
  return std::clamp(all_points / std::max<size_t>(curves, 1), least_points, greatest_points);
}

SweptCurves read_swept_curves(const SweepPlan& plan, const std::vector<SweepRow>& rows) {
  std::set<std::string> of_probes;
  for (const SweepReading& reading : plan.file.readings)
    if (may_be_of_probe(reading.question.metric)) of_probes.insert(reading.question.metric);
  SweptCurves all;
  std::map<std::string, SweptMetric> metrics;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::error_code ignored;
    if (!std::filesystem::exists(plan.run_folder(*rows[i].run) / "run.json", ignored)) continue;
    std::vector<Curve> curves;
    try {
      curves = curves_of_run(plan, *rows[i].run, of_probes);
    } catch (const Error& error) {
      all.damaged.push_back(error.what());
      continue;
    }
    if (all.most_points == 0 && !curves.empty())
      all.most_points = points_per_curve(curves.size() * rows.size());
    for (const Curve& curve : curves) {
      if (curve.steps.empty()) continue;
      all.thinned |= curve.steps.size() > all.most_points;
      SweptMetric& metric = metrics[curve.name];
      metric.name = curve.name;
      metric.runs.push_back(i);
      metric.curves.push_back(thin_curve(curve, all.most_points));
    }
  }
  for (auto& [name, metric] : metrics) all.metrics.push_back(std::move(metric));
  return all;
}

}  // namespace orrery::engine
