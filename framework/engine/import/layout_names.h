// Private to the import room: names with "{layer}" in them, and the axes of our weights.
#pragma once

#include <optional>
#include <string>

#include "engine/import/layout.h"

namespace orrery::engine {

/// The numbers at "{layer}" and "{head}" of a pattern; -1 for what it does not have.
struct LayerAndHead {
  int64_t layer = -1, head = -1;
};
/// Matches `name` with `pattern`. Nothing if it does not match.
std::optional<LayerAndHead> numbers_in(const std::string& pattern, const std::string& name);
/// The number of the layer alone.
std::optional<int64_t> layer_in(const std::string& pattern, const std::string& name);
/// `pattern` with the number of a layer; the pattern itself for -1.
std::string with_layer(const std::string& pattern, int64_t layer);

/// The axes of a transformer's weight ("blocks.{layer}.attn.W_Q"); null if it is not one.
const Axes* axes_of_ours(const std::string& pattern);
/// All weights a transformer may have, with the same names and axes in the file as in ours.
const std::vector<WeightRule>& transformer_rules();

/// The axes in the file and in ours; nothing if neither are named. Throws orrery::UsageError if they do not
/// fit each other.
struct RuleAxes {
  Axes file, ours;
};
std::optional<RuleAxes> axes_of(const WeightRule& rule);

/// A tensor of the file with the rule that matches it.
struct Matched {
  const WeightRule* rule;  ///< null: none
  int64_t layer;           ///< -1 for a rule without one
  int64_t head;            ///< -1 for a rule without one
  const std::string* name;
  const pickle::StoredTensor* tensor;
};
/// Matches tensors with rules, leaving out ignored ones. A tensor whose parts several rules take comes
/// several times.
std::vector<Matched> match(const StoredTensors& tensors, const Layout& layout);

/// The sizes of axes that most tensors agree on.
Sizes sizes_in(const std::vector<Matched>& matched, const Layout& layout);

}  // namespace orrery::engine
