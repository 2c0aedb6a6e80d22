// Activations that training changes for some steps, as hooks: after the "optogenetics" of Singh et al. 2024
// (arXiv 2404.07129), who clamp parts of a circuit to see what the rest waits for.
#pragma once

#include <orrery/hooks.h>
#include <orrery/model.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/config/train_settings.h"

namespace orrery::engine {

class Interventions {
 public:
  /// Throws orrery::UsageError, with the entry's place, for hook points and heads that the model does not
  /// have.
  Interventions(const std::vector<Intervention>& interventions, const Model& model);

  bool empty() const { return places_.empty(); }
  /// Whether any acts in the update after `step` updates.
  bool active(int64_t step) const;
  /// Hooks for those that act. zero, mean and clamp put a constant in place of an activation, or of the heads
  /// that an entry names, so that no gradient passes; mean is that of the batch at each position. freeze
  /// leaves the values and stops the gradient. pattern is for hook_pattern: each query attends to the
  /// position before it (the first one to itself), to the first, to itself, or to all up to itself alike.
  std::vector<Hook> hooks(int64_t step) const;

 private:
  struct Place {
    Intervention entry;
    std::string point;
    int64_t head_dim;  // the dimension over heads, or -1
  };
  std::vector<Place> places_;
};

}  // namespace orrery::engine
