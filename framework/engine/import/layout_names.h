// Inside the import room only: names with "{layer}" in them, and the axes of our weights.
#pragma once

#include <optional>
#include <string>

#include "engine/import/layout.h"

namespace orrery::engine {

/// What stands for "{layer}" where `name` fits `pattern`: a layer's number, or -1 for a pattern without one.
/// Nothing where it does not fit.
std::optional<int64_t> layer_in(const std::string& pattern, const std::string& name);
/// `pattern` with the number of a layer; the pattern itself for -1.
std::string with_layer(const std::string& pattern, int64_t layer);

/// The axes of a transformer's weight ("blocks.{layer}.attn.W_Q"); null where it is none.
const Axes* axes_of_ours(const std::string& pattern);
/// All weights a transformer may have, in the file as in ours.
const std::vector<WeightRule>& transformer_rules();

/// The axes in the file and in ours; nothing where neither is named. Throws orrery::UsageError where they do
/// not fit each other.
struct RuleAxes {
  Axes file, ours;
};
std::optional<RuleAxes> axes_of(const WeightRule& rule);

/// A tensor of the file with the rule it falls under.
struct Matched {
  const WeightRule* rule;  ///< null: none
  int64_t layer;           ///< -1 for a rule without one
  const std::string* name;
  const pickle::StoredTensor* tensor;
};
/// A tensor that several rules take its parts from comes several times. Ignored ones are left out.
std::vector<Matched> match(const StoredTensors& tensors, const Layout& layout);

/// The sizes of axes that most tensors agree on.
Sizes sizes_in(const std::vector<Matched>& matched, const Layout& layout);

}  // namespace orrery::engine
