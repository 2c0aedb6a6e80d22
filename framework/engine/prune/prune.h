// Thins the checkpoints of a finished run: `orrery prune`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/run/run_directory.h"

namespace orrery::engine {

struct PruneChoices {
  std::optional<int64_t> keep_last;  ///< as many of the newest stay; nothing: the last
  int64_t every = 0;                 ///< the multiples of this stay; 0: none
};

/// A checkpoint that another run names in its [init] from.
struct NeededElsewhere {
  int64_t step;
  std::filesystem::path by;
};

/// A checkpoint that stays, as the others that were to stay, but cannot be read or is not as it was written.
struct DamagedCheckpoint {
  int64_t step;
  std::string error, hint;
  std::optional<int64_t> instead;  ///< a whole one that stays in its place; nothing: there is none, or only
                                   ///< what resuming needs is damaged
};

struct PrunePlan {
  std::vector<int64_t> gone, kept;         ///< steps, ascending
  std::vector<DamagedCheckpoint> damaged;  ///< of those kept
  uint64_t bytes = 0;                      ///< of the checkpoints that go
  std::vector<NeededElsewhere> needed;     ///< of those kept, only for runs beside this one
  std::map<std::string, int64_t>
      unmeasured;  ///< by label: how many of `gone` that are due it has not measured
};

/// Which checkpoints go. The first, the last and the one that the run goes on from stay, those that `choices`
/// or the config name (per_decade, references of probes), the first with grokked_accuracy, and those that
/// runs in the same folder start from. Reads all that stay: for each that is damaged, the nearest whole one
/// that would go stays, too. Throws UsageError if the run has not ended, or if `choices` name nothing.
PrunePlan plan_prune(const RunDirectory& run, const PruneChoices& choices);

/// Does it. Says in run.json which go before the first one does, so that a killed prune leaves a whole run,
/// and going over it again finishes the work.
void prune(RunDirectory& run, const PrunePlan& plan);

}  // namespace orrery::engine
