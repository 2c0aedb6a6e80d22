#include "engine/export/curve_events.h"

#include "engine/export/event_file.h"
#include "engine/run/curves.h"
#include "engine/run/run_json.h"

namespace orrery::engine {

std::filesystem::path events_folder(const RunDirectory& run) { return run.root() / "tensorboard"; }

std::map<int64_t, tensorboard::Scalars> curve_points(
    const RunDirectory& run, const std::function<bool(const std::string& name)>& wanted) {
  std::map<int64_t, tensorboard::Scalars> by_step;
  for (const Curve& curve : all_curves(read_curves(run)))
    if (wanted(curve.name))
      for (size_t i = 0; i < curve.steps.size(); ++i)
        by_step[curve.steps[i]].emplace_back(curve.name, curve.values[i]);
  return by_step;
}

std::string curve_events(const RunDirectory& run,
                         const std::function<bool(const std::string& name)>& wanted) {
  const RunJson info = read_run_json(run.root());
  return tensorboard::event_file_of(curve_points(run, wanted),
                                    [&](int64_t step) { return wall_time_of(info, step); });
}

}  // namespace orrery::engine
