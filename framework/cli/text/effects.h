// The effects of interventions, as text and as JSON.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/train/loss.h"

namespace orrery::cli {

using namespace engine;

/// The scores (intervene/intervention.h) with some components ablated or patched.
struct Effect {
  std::string name;
  Metrics scores;
};

/// A table; `what` ("ablated", "patched") is the title of its first column: first the scores of `plain`, the
/// baseline, then, under "change:", a row per effect with its change to each score. In lines of at most
/// `width` characters.
std::string effects_text(const std::string& what, const Metrics& plain, const std::vector<Effect>& effects,
                         size_t width);
/// {"component": "head 0.2", "loss": 4.2, ..., "change": {"loss": 4.1, ...}}, a line per effect; the first,
/// with component null, is the baseline.
std::string effects_json(const Metrics& plain, const std::vector<Effect>& effects);
/// {"component": "head 0.2", "logit_difference": 4.2, "moved": 0.1}, a line.
std::string patch_json(const std::string& component, double logit_difference, double moved);

}  // namespace orrery::cli
