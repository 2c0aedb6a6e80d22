#include "engine/run/curves.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>

#include "sdk/files/sha256.h"

namespace orrery::engine {

void CurveReader::add_row(int64_t step, const std::vector<std::pair<std::string, double>>& columns,
                          const std::string& prefix) {
  steps_.push_back(step);
  for (const auto& [name, value] : columns) points_[prefix + name].emplace_back(step, value);
}

std::vector<Curve> CurveReader::curves() const {
  std::vector<Curve> all;
  for (auto [name, points] : points_) {
    std::stable_sort(points.begin(), points.end(), [](auto& a, auto& b) { return a.first < b.first; });
    Curve curve{name, {}, {}};
    for (const auto& [step, value] : points) {
      curve.steps.push_back(step);
      curve.values.push_back(value);
    }
    all.push_back(std::move(curve));
  }
  return all;
}

std::vector<int64_t> CurveReader::steps() const {
  std::vector<int64_t> sorted = steps_;
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

std::vector<CurveReader> read_curves(const RunDirectory& run, bool with_probes) {
  std::vector<CurveReader> files(1);
  for (const MetricsRow& row : run.read_metrics()) files.back().add_row(row.step, row.values);
  if (!with_probes) return files;
  for (const std::string& label : run.probe_labels()) {
    files.emplace_back();
    for (const ProbeResult& result : run.read_probe_results(label, RunDirectory::ProbeData::leave_out))
      files.back().add_row(result.step, result.record.scalars, fmt::format("probe/{}/", label));
  }
  return files;
}

std::vector<Curve> all_curves(const std::vector<CurveReader>& files) {
  std::vector<Curve> all;
  for (const CurveReader& file : files)
    for (Curve& curve : file.curves()) all.push_back(std::move(curve));
  return all;
}

std::vector<Curve> choose_curves(const std::vector<Curve>& all, const std::vector<std::string>& globs,
                                 const std::string& label) {
  std::vector<std::string> names;
  for (const Curve& curve : all) names.push_back(curve.name);
  for (const std::string& glob : globs)
    if (std::none_of(names.begin(), names.end(), [&](auto& name) { return matches(glob, name); }))
      throw Error(fmt::format("probe \"{}\" concludes from \"{}\", but the run has no such curve{}", label,
                              glob, did_you_mean(glob, names)),
                  names.empty() ? "it has none at all: train it first"
                                : fmt::format("it has: {}", fmt::join(names, ", ")));
  std::vector<Curve> chosen;
  for (const Curve& curve : all)
    if (std::any_of(globs.begin(), globs.end(), [&](auto& glob) { return matches(glob, curve.name); }))
      chosen.push_back(curve);
  return chosen;
}

std::string sha256_of(const std::vector<Curve>& curves) {
  Sha256 hash;
  for (const Curve& curve : curves) {
    hash.add(fmt::format("{} {}\n", curve.name, curve.steps.size()));
    hash.add(std::as_bytes(std::span(curve.steps)));
    hash.add(std::as_bytes(std::span(curve.values)));
  }
  return hash.digest();
}

}  // namespace orrery::engine
