// Whether a run of a later stage could begin, and with which checkpoint.
#pragma once

#include <filesystem>
#include <string>

#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

/// Whether a run could begin at the checkpoint that it starts from, as things are now.
struct StartNow {
  enum class Kind { ready, waiting, never };
  Kind kind = Kind::ready;
  std::string why = {};  ///< if it is not ready
  std::filesystem::path checkpoint = {};
};

/// The checkpoint that `rule` names in the folder of a run that is done and called `who`. Does not read it.
StartNow checkpoint_in(const std::filesystem::path& folder, const StartRule& rule, const std::string& who);

/// What is wrong with a checkpoint; "" if it is whole and of the run in whose folder it is.
std::string damage_of(const std::filesystem::path& checkpoint);

/// The same for the checkpoints of `run`, which is done, that those of `others` start from which have not
/// begun yet.
std::string damage_to_starts(const SweepPlan& plan, const SweptRun& run,
                             const std::vector<const SweptRun*>& others);

/// "run 60303ae22b99 of stage full".
std::string who_is(const SweepStart& start);

}  // namespace orrery::engine
