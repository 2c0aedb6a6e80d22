// How the ready variables of interchanges are made, by kind of task; internal.
#pragma once

#include <orrery/interchange_variables.h>

#include <string>
#include <vector>

namespace orrery::interchanging {

VariableSet operand_variables(const Observation& observation, const VariableOptions& options);
VariableSet repeat_variables(const Observation& observation, const VariableOptions& options);
VariableSet carry_variables(const Observation& observation, const VariableOptions& options);
// Whether the loss groups name the digits of a sum.
bool has_digits(const TaskSpec& spec);

// A site for each hook point that matches one of `globs`, in the order of the forward pass, then "logits" if
// it is among them. Throws orrery::UsageError for a glob without a match.
std::vector<InterchangeSite> sites_matching(const Model& model, const std::vector<std::string>& globs);
// Hook points of whole residual streams, neurons and their outputs, and the logits.
std::vector<std::string> usual_sites(const Model& model);
// `functions` [m, inputs] with the inputs in random order.
torch::Tensor in_random_order(const torch::Tensor& functions, uint64_t seed);

}  // namespace orrery::interchanging
