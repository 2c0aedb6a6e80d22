// Variables for interchange interventions (orrery/interchange.h) that come ready for what a task declares:
//   operands    left, right, operands (both of them) and result of a op b = c (cyclic or group structure):
//               waves of a, of b, of either and of a + b at key frequencies, or the entries of
//               representations of x, of y, of either and of x y
//   repeats     position: the earlier position of a repeat, in attention patterns; value: the token that
//               followed there, in what heads write
//   carries     carry_1, carry_2, ...: the carry into each digit but the ones, of a task that adds digit by
//               digit
// Use one network from one thread at a time.
#pragma once

#include <orrery/export.h>
#include <orrery/fourier.h>
#include <orrery/interchange.h>
#include <orrery/probe.h>
#include <torch/types.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace orrery {

/// A variable of the task that a network may compute on its way.
struct CausalVariable {
  std::string name;                               ///< "result"
  std::string says;                               ///< what it is, in a few words: "a + b"
  CounterfactualLabels labels = {};               ///< over VariableSet::inputs
  std::vector<CounterfactualLabels> others = {};  ///< those of other variables
  /// [m, inputs] float64 over VariableSet::fit_inputs: functions of the variable, which directions are sought
  /// for. Undefined: whole activations are exchanged.
  torch::Tensor functions = {};
  /// As many functions of something else, for a null; undefined if there is nothing else.
  torch::Tensor wrong_functions = {};
  /// Where it is looked for: the sites of the model, in the order of its forward pass.
  std::vector<InterchangeSite> sites = {};
};
struct VariableSet {
  Batch inputs;      ///< pairs are pairs of these, on the CPU
  Batch fit_inputs;  ///< directions are found on these
  std::vector<CausalVariable> variables;
};

/// Functions on the elements 0..n-1 of a group that carry its circuit, and others that do not.
struct KeyFunctions {
  torch::Tensor keys;    ///< [m, n] float64, orthonormal
  torch::Tensor others;  ///< [m or fewer, n], orthonormal, orthogonal to the keys and to the constant
  std::vector<std::string> names;  ///< of the key frequencies or representations: "k=14", "standard (4,1)"
};
/// The waves of the key frequencies at this checkpoint by `params` (cyclic structure), or the entries of the
/// representations whose character explains 1 % or more of the variance of the logits (group structure; with
/// rule "logits" or "given", params are not looked at). The others are drawn with `seed` from the rest. Runs
/// the network on the grid. Throws orrery::UsageError if there is no key, and what find_key_frequencies() and
/// OperandGrid throw.
ORRERY_API KeyFunctions find_key_functions(const KeyFrequencyParams& params, const Observation& observation,
                                           uint64_t seed);

/// How ready variables are made.
struct VariableOptions {
  /// For tasks with two operands; see find_key_functions(). Not looked at for others.
  std::optional<KeyFunctions> keys = {};
  /// Hook points by glob, or "logits", at the output positions; empty: those of the variable.
  std::vector<std::string> sites = {};
  uint64_t seed = 0;  ///< of wrong_functions
};
/// The variables of a task by its structure, or, if its loss groups are digit_0, digit_1, ..., the carries of
/// an addition of digits. Throws orrery::UsageError if there are none.
ORRERY_API VariableSet ready_variables(const Observation& observation, const VariableOptions& options);
/// Whether ready_variables() needs VariableOptions::keys for this task.
ORRERY_API bool needs_keys(const Structure& structure);

/// A hypothesis and its nulls: what the scalars of the probe and the lines of the command say.
struct TestedHypothesis {
  std::string name;      ///< VARIABLE/SITE, "result/blocks.0.mlp.hook_post"; "value/blocks.1.attn.hook_z.3"
                         ///< for head 3
  std::string variable;  ///< its name
  InterchangeSite site;
  torch::Tensor directions;  ///< as in Hypothesis
  InterchangeScore score;
  /// The same with a random subspace of the same size, and with the directions of other functions in what the
  /// own ones leave of the activation, at most as many; none where the whole activation is exchanged, or for
  /// the latter if there are no others or nothing of them is left.
  std::optional<InterchangeScore> random = {}, wrong = {};
  /// How much of the other functions' directions lay in the own ones: the mean squared cosine, from 0 to 1;
  /// NaN if there are none.
  double shared = std::numeric_limits<double>::quiet_NaN();
};
struct TestedSet {
  double base_accuracy = 0;
  std::vector<TestedHypothesis> hypotheses;
};
/// What is tested on which pairs.
struct TestOptions {
  std::vector<std::string> hypotheses = {"*"};  ///< by glob over their names
  int64_t pairs = 2000;                         ///< sampled; 0: all of them
  uint64_t seed = 0;                            ///< of the pairs and of the random subspaces
  /// [m, features]: tested in place of those that a regression finds; their span counts.
  torch::Tensor directions = {};
};
/// Finds the directions of each variable at each of its sites and tests them. Throws orrery::UsageError if no
/// hypothesis has such a name, and what regression_directions() and interchange() throw.
ORRERY_API TestedSet test_variables(Model& model, const TaskSpec& spec, const VariableSet& set,
                                    const TestOptions& options);
/// The names that test_variables() gives, VARIABLE/SITE, in its order.
ORRERY_API std::vector<std::string> hypothesis_names(const VariableSet& set);

}  // namespace orrery
