// The keys in which the runs of a sweep differ, with their values in the order in which a reader expects
// them.
#pragma once

#include <string>
#include <vector>

#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

struct SweptKey {
  std::string name;                ///< "train.weight_decay", "seed"
  std::vector<std::string> texts;  ///< its values: numbers ascending, others in the order of the runs
  std::vector<double> numbers;     ///< the values as numbers; empty unless all of them are
  std::vector<size_t> of_run;      ///< for each run of the plan, the index of its value

  bool is_seed() const { return name == "seed"; }
};

/// The keys with two values or more, in the order of the file, "seed" last. A run that leaves a key to the
/// base config has the value "as in the base", the last one.
std::vector<SweptKey> swept_keys(const SweepPlan& plan);

}  // namespace orrery::engine
