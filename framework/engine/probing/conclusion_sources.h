// What a conclusion is drawn from, and how much of that can no longer be measured.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/experiment/probe_host.h"
#include "engine/run/history.h"
#include "engine/run/results.h"
#include "engine/run/run_json.h"
#include "engine/train/schedule.h"

namespace orrery::engine {

/// Those of `labels` whose curves, tensors or findings `probe` concludes from. Empty if a name that it asks
/// for is nowhere; that is reported when it is asked.
std::vector<std::string> source_labels(const ProbeInRun& probe, const RunHistory& history,
                                       const std::vector<std::string>& labels);

/// Which checkpoints a run has made, and which of them are there.
class MadeCheckpoints {
 public:
  MadeCheckpoints(const RunDirectory& run, const RunJson& info, const CheckpointSchedule& schedule);

  /// How many of the checkpoints at which the probe `label` is due it can have measured, if `measured` are
  /// the steps of its results; nothing if none was pruned without one.
  std::optional<SeenCheckpoints> partly_seen(const std::string& label,
                                             const std::set<int64_t>& measured) const;

 private:
  std::optional<int64_t> every_of(const std::string& label, const std::set<int64_t>& measured) const;

  std::vector<ConfiguredProbe> configured_;
  std::set<int64_t> there_, made_;
};

}  // namespace orrery::engine
