// Interchange interventions on the networks of a run, as `orrery interchange` and the probe have them.
#pragma once

#include <orrery/interchange_variables.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"

namespace orrery::engine {

/// The variables that are ready for the task of `network`. Key functions are those of `reference`, a network
/// of the same run, by `rule`; it is only looked at where the variables need them. Throws what
/// find_key_functions() and ready_variables() throw.
VariableSet interchange_variables(Experiment& network, Experiment& reference, const KeyFrequencyParams& rule,
                                  const std::vector<std::string>& sites, uint64_t seed);

/// test_variables() on that network.
TestedSet test_network(Experiment& network, const VariableSet& variables, const TestOptions& options);

}  // namespace orrery::engine
