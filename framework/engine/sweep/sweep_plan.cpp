#include "engine/sweep/sweep_plan.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <set>

#include "engine/run/json_read.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

constexpr size_t id_digits = 12;

// Resolves one point; an error names it.
Settings resolve_point(const SweepFile& file, const SweepPoint& point, const ParametersOf& parameters_of) {
  try {
    return resolve_with(file.base, point.overrides(file), parameters_of);
  } catch (const UsageError& error) {
    const std::string text = point_text(point);
    throw UsageError(text.empty() ? error.what() : fmt::format("{} (at {})", error.what(), text),
                     error.hint());
  }
}

}  // namespace

std::vector<std::string> SweepPlan::keys() const {
  std::vector<std::string> keys;
  bool seeds = false;
  for (const SweptRun& run : runs) {
    seeds = seeds || run.point.seed;
    for (const Override& each : run.point.keys)
      if (std::find(keys.begin(), keys.end(), each.key) == keys.end()) keys.push_back(each.key);
  }
  if (seeds) keys.push_back("seed");
  return keys;
}

std::string identity(const Settings& settings) {
  Json config = parse_object(to_json(settings), "the config");
  for (const char* key : {"name", "verify", "expect"}) config.erase(key);
  return sha256(config.dump()).substr(0, id_digits);
}

fs::path sweep_folder(const SweepFile& file) { return fs::path("runs") / "sweeps" / file.name; }

SweepPlan plan_sweep(const fs::path& path, const ParametersOf& parameters_of, const fs::path& folder) {
  SweepPlan plan{read_sweep_file(path), folder, {}, 0};
  if (folder.empty()) plan.folder = sweep_folder(plan.file);
  std::set<std::string> known;
  for (SweepPoint& point : expand(plan.file)) {
    ++plan.n_points;
    auto settings = std::make_shared<const Settings>(resolve_point(plan.file, point, parameters_of));
    std::string id = identity(*settings);
    if (known.insert(id).second) plan.runs.push_back({std::move(id), std::move(point), std::move(settings)});
  }
  return plan;
}

std::vector<std::string> left_over(const SweepPlan& plan) {
  std::set<std::string> known;
  for (const SweptRun& run : plan.runs) known.insert(run.id);
  std::vector<std::string> left;
  std::error_code failure;
  for (fs::directory_iterator at(plan.folder / "runs", failure), end; !failure && at != end;
       at.increment(failure)) {
    const std::string name = at->path().filename().string();
    if (!known.count(name)) left.push_back(name);
  }
  std::sort(left.begin(), left.end());
  return left;
}

}  // namespace orrery::engine
